"""What one batch of several sequences gives over one sequence: tokens a second, decoding on the CPU.

    .venv/bin/python bench/sequences.py model.gguf [--n-seq 8] [-n 24] [-t 2] [--rounds 4]

One and several take turns, each a token a step behind 16 tokens of its own; the best round of each counts.
"""

import argparse
import time

import puna

N_PROMPT = 16


def tokens_per_second(session: puna.Session, n_seq: int, n: int) -> float:
    """Steps of one token in each of the first `n_seq` sequences."""
    start = time.perf_counter()
    for step in range(n):
        session.eval({seq: [100 + step] for seq in range(n_seq)})
    return n_seq * n / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--n-seq", type=int, default=8)
    parser.add_argument("-n", type=int, default=24, help="tokens of each sequence in a round (24)")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    n_ctx = args.n_seq * (N_PROMPT + 2 * args.rounds * args.n)
    best = {1: 0.0, args.n_seq: 0.0}
    with puna.Session(args.model, n_ctx=n_ctx, n_seq_max=args.n_seq, n_threads=args.threads) as session:
        for seq in range(args.n_seq):
            session.eval({seq: [10 + seq + i for i in range(N_PROMPT)]})
        for _ in range(args.rounds):
            for n_seq in best:
                best[n_seq] = max(best[n_seq], tokens_per_second(session, n_seq, args.n))
    one, several = best.values()
    print(
        f"{args.model}: 1 sequence {one:.1f} t/s, {args.n_seq} sequences {several:.1f} t/s: {several / one:.2f} x"
    )


if __name__ == "__main__":
    main()
