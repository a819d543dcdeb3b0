"""llama.cpp's flags, tool by tool, as its own documents list them. Those that Puna has not are refused by
name rather than called unknown: `Parser.refuse` takes all of a list and leaves out what a command has."""

# What there is instead of some that Puna has not.
INSTEAD = {
    "--version": "puna --version says the version of Puna",
    **dict.fromkeys(("-i", "--interactive", "-if", "--interactive-first"), "puna chat is interactive"),
    **dict.fromkeys(
        ("-mu", "--model-url", "-dr", "--docker-repo"), "-hf fetches from huggingface.co, -m opens a file"
    ),
    **dict.fromkeys(("--verbose-prompt", "-ptc", "--print-token-count"), "puna tokenize shows tokens"),
    **dict.fromkeys(("-cl", "--cache-list"), "puna list lists what was pulled"),
    "--list-devices": "puna devices lists them",
    **dict.fromkeys(("-dev", "--device"), "the variable PUNA_GPU_DEVICE names a GPU, -ngl 0 is the CPU"),
    **dict.fromkeys(("-bf", "--binary-file"), "-f reads a file of text"),
    **dict.fromkeys(("-o", "--output"), "the text goes to standard output"),
    "--rope-scaling": "--rope-scale and --rope-freq-base are there",
    "--no-jinja": "templates are always Jinja",
    **dict.fromkeys(("--context-shift", "--keep"), "a text ends where its context is full"),
    **dict.fromkeys(("-nkvo", "--no-kv-offload"), "the cache is where the layers are: see -ngl"),
    "--mlock": "--no-mmap reads the file into memory",
    **dict.fromkeys(("-lm", "--load-mode"), "--mmap and --no-mmap are there"),
    **dict.fromkeys(("-lv", "--verbosity", "--log-verbosity"), "-v says more"),
    **dict.fromkeys(("-mm", "--mmproj", "--image", "--audio", "--video"), "Puna reads text alone"),
    "-pg": "-p and -n measure each by itself",
    "-mmp": "--mmap and --no-mmap are there",
}

# Of nearly every tool: execution, files, logs.
COMMON = """
--version -cl --cache-list --completion-bash -t --threads -tb --threads-batch -C --cpu-mask -Cr --cpu-range
--prio --cpu-strict --poll --poll-batch -Cb --cpu-mask-batch -Crb --cpu-range-batch --prio-batch
--cpu-strict-batch -c --ctx-size -n --predict --n-predict -b --batch-size -ub --ubatch-size --keep -fa
--flash-attn --swa-full --perf --no-perf -e --escape --no-escape --rope-scaling --rope-scale --rope-freq-base
--rope-freq-scale --yarn-orig-ctx --yarn-ext-factor --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast
-kvo --kv-offload -nkvo --no-kv-offload --repack -nr --no-repack --no-host -ctk --cache-type-k -ctv
--cache-type-v -dt --defrag-thold --rpc --mlock --mmap --no-mmap -dio --direct-io -ndio --no-direct-io -lm
--load-mode --numa -dev --device --list-devices -ot --override-tensor -cmoe --cpu-moe -ncmoe --n-cpu-moe -ngl
--gpu-layers --n-gpu-layers -sm --split-mode -ts --tensor-split -mg --main-gpu -fit --fit -fitt --fit-target
-fitc --fit-ctx --check-tensors --override-kv --op-offload --no-op-offload --lora --lora-scaled
--control-vector --control-vector-scaled --control-vector-layer-range -m --model -mu --model-url -dr
--docker-repo -hf -hfr --hf-repo -hff --hf-file -hft --hf-token --log-disable --log-colors --log-file -v
--verbose --log-verbose --offline -lv --verbosity --log-verbosity --log-prefix --no-log-prefix
--log-timestamps --no-log-timestamps
""".split()

SAMPLING = """
--samplers -s --seed --sampler-seq --sampling-seq --ignore-eos --temp --temperature --top-k --top-p --min-p
--top-nsigma --top-n-sigma --xtc-probability --xtc-threshold --typical --typical-p --repeat-last-n
--repeat-penalty --presence-penalty --frequency-penalty --dry-multiplier --dry-base --dry-allowed-length
--dry-penalty-last-n --dry-sequence-breaker --adaptive-target --adaptive-decay --dynatemp-range
--dynatemp-exp --mirostat --mirostat-lr --mirostat-ent -l --logit-bias --grammar --grammar-file -j
--json-schema -jf --json-schema-file -bs --backend-sampling
""".split()

# Of llama-cli and llama-completion.
TEXT = """
-p --prompt -f --file -bf --binary-file --server-base -sys --system-prompt -sysf --system-prompt-file -cnv
--conversation -no-cnv --no-conversation -st --single-turn -mli --multiline-input --image --audio --video -o
--output --show-timings --no-show-timings --display-prompt --no-display-prompt --verbose-prompt --simple-io
--color -co --prompt-cache --prompt-cache-all --prompt-cache-ro -i --interactive -if --interactive-first
--in-prefix --in-suffix --in-prefix-bos -ptc --print-token-count -gan --grp-attn-n -gaw --grp-attn-w -r
--reverse-prompt -sp --special --warmup --no-warmup --spm-infill --context-shift --no-context-shift
-lcs --lookup-cache-static -lcd --lookup-cache-dynamic -ctxcp --ctx-checkpoints --swa-checkpoints -cms
--checkpoint-min-step -cram --cache-ram -kvu --kv-unified -no-kvu --no-kv-unified -np --parallel -cb
--cont-batching -nocb --no-cont-batching -mm --mmproj -mmu --mmproj-url --mmproj-auto --no-mmproj
--no-mmproj-auto --mmproj-offload --no-mmproj-offload -mmdev --mmproj-device --image-min-tokens
--image-max-tokens --chat-template-kwargs --jinja --no-jinja -rea --reasoning --reasoning-format
--reasoning-effort --reasoning-budget --reasoning-budget-message --reasoning-preserve
--no-reasoning-preserve --chat-template --chat-template-file --skip-chat-parsing --no-skip-chat-parsing
--prefill-assistant --no-prefill-assistant --cache-prompt --no-cache-prompt --cache-reuse
""".split()

# Of speculative decoding.
SPECULATIVE = """
--spec-type --spec-draft-type-k -ctkd --cache-type-k-draft --spec-draft-type-v -ctvd --cache-type-v-draft
--spec-draft-hf -hfd -hfrd --hf-repo-draft --spec-draft-threads -td --threads-draft
--spec-draft-threads-batch -tbd --threads-batch-draft --spec-draft-n-max --draft --draft-n --draft-max
--spec-draft-n-min --draft-min --draft-n-min --spec-draft-p-split --draft-p-split --spec-draft-p-min
--draft-p-min --spec-draft-ngl -ngld --gpu-layers-draft --n-gpu-layers-draft --spec-draft-model -md
--model-draft --spec-default
""".split()

GENERATING = COMMON + SAMPLING + TEXT + SPECULATIVE

EMBEDDING = """
-p --prompt -f --file --pooling --attention --embd-normalize --embd-output-format --embd-separator
--cls-separator --no-warmup --warmup --embd-gemma-default
""".split()

QUANTIZE = """
--allow-requantize --leave-output-tensor --pure --imatrix --include-weights --exclude-weights
--output-tensor-type --token-embedding-type --tensor-type --tensor-type-file --prune-layers --keep-split
--override-kv --dry-run
""".split()

TOKENIZE = """
-m --model -p --prompt -f --file --stdin --ids --no-bos --no-escape --no-parse-special --log-disable
--show-count
""".split()

BENCH = """
-m --model -p --n-prompt -n --n-gen -pg -d --n-depth -b --batch-size -ub --ubatch-size -ctk --cache-type-k
-ctv --cache-type-v -t --threads -C --cpu-mask --cpu-strict --poll -ngl --n-gpu-layers -ncmoe --n-cpu-moe
-sm --split-mode -mg --main-gpu -nkvo --no-kv-offload -fa --flash-attn -dev --device -mmp --mmap -dio
--direct-io -embd --embeddings -ts --tensor-split -ot --override-tensors -nopo --no-op-offload --no-host -fitt
--fit-target -fitc --fit-ctx --numa -r --repetitions --prio --delay -o --output -oe --output-err --list-devices
-v --verbose --progress --no-warmup -hf -hfr --hf-repo -hff --hf-file -hft --hf-token --rpc
""".split()
