"""How the golden logits are made: `archs` (what each architecture's file looks like), `cases` (the models
and what they are there for), `file` (the GGUF file). `../make_logits.py` runs them."""
