"""A model directory for vLLM without weights: `model.py FOLDER`.

A Llama of two layers with a byte-level BPE tokenizer that is trained on the modules of Python's standard library, and two
LoRA adapters, `lora-first` and `lora-second`. Serve it with `--load-format dummy`. Needs what vLLM brings along.
"""

import json
import pathlib
import sys

import numpy
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

LAYERS = 2
HIDDEN = 64
HEAD = 32
VOCABULARY = 2048
LONGEST = 8192
RANK = 8
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save(path, value):
    path.write_text(json.dumps(value, indent=2))


def tokenizer(folder):
    """Trains the tokenizer and writes it."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    texts = sorted(pathlib.Path(json.__file__).parent.parent.glob("*.py"))[:60]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train([str(text) for text in texts], trainer)
    bpe.save(str(folder / "tokenizer.json"))
    save(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": LONGEST,
            "eos_token": SPECIAL[2],
            "pad_token": SPECIAL[0],
            "clean_up_tokenization_spaces": False,
            "chat_template": TEMPLATE,
        },
    )


def config(folder):
    """Writes the shape of the model."""
    save(
        folder / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": HIDDEN,
            "intermediate_size": 2 * HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HIDDEN // HEAD,
            "num_key_value_heads": 1,
            "head_dim": HEAD,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": LONGEST,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "attention_bias": False,
            "bos_token_id": None,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
    )
    save(folder / "generation_config.json", {"eos_token_id": 2, "pad_token_id": 0, "do_sample": True})


def adapter(folder, random):
    """Writes a LoRA adapter of the attention's query and value."""
    folder.mkdir(exist_ok=True)
    widths = {"q_proj": HIDDEN, "v_proj": HEAD}
    weights = {}
    for layer in range(LAYERS):
        for module, width in widths.items():
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            for part, shape in {"lora_A": (RANK, HIDDEN), "lora_B": (width, RANK)}.items():
                weights[f"{name}.{part}.weight"] = random.normal(0, 0.1, shape).astype(numpy.float32)
    save_file(weights, folder / "adapter_model.safetensors")
    save(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "r": RANK,
            "lora_alpha": 16,
            "lora_dropout": 0.0,
            "bias": "none",
            "inference_mode": True,
            "target_modules": list(widths),
        },
    )


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(folder)
    config(folder)
    random = numpy.random.default_rng(1)
    for name in ("first", "second"):
        adapter(folder / f"lora-{name}", random)


main()
