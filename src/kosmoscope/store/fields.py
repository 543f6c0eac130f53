"""config.json of a checkpoint, read key by key: what nobody knows is refused, not passed over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kosmoscope.errors import CheckpointError

# Keys of transformers' config files that only training, generation defaults or bookkeeping use.
# They are named so that a key which nobody knows stops the load: it may change what the numbers
# mean.
_BOOKKEEPING = frozenset(
    """
    add_cross_attention architectures attention_dropout activation_dropout bad_words_ids
    begin_suppress_tokens chunk_size_feed_forward cross_attention_hidden_size
    decoder_start_token_id diversity_penalty do_sample dropout dtype early_stopping
    encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task
    forced_bos_token_id forced_eos_token_id id2label init_std initializer_factor initializer_range
    is_composition is_decoder is_encoder_decoder label2id layerdrop length_penalty max_length
    min_length no_repeat_ngram_size num_beam_groups num_beams num_return_sequences
    output_attentions output_hidden_states output_scores prefix problem_type projection_dim
    pruned_heads remove_invalid_values repetition_penalty return_dict return_dict_in_generate
    sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss
    tie_encoder_decoder tokenizer_class top_k top_p torch_dtype torchscript transformers_version
    typical_p use_bfloat16 use_cache
    """.split()  # noqa: SIM905 - thirteen lines instead of sixty
)

MOST_LAYERS = 1024


class ConfigReader:
    """Checks keys of a file; every message names the file and the key.

    Args:
        path: config.json.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def fail(self, problem: str) -> CheckpointError:
        """Return the error for a problem."""
        return CheckpointError(f"{self.path}: {problem}")

    def known(self, data: Mapping[str, Any], prefix: str, keys: set[str]) -> None:
        """Refuse what is neither among `keys` nor bookkeeping; `prefix` says where they stand."""
        surplus = sorted(
            k for k in data if k not in keys and k not in _BOOKKEEPING and not k.startswith("_")
        )
        if surplus:
            raise self.fail(f"unknown key {prefix}{surplus[0]}: it may change what the model means")

    def section(self, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Return a key's object."""
        value = data.get(key)
        if not isinstance(value, dict):
            raise self.fail(f"{key} is missing or not an object")
        return value

    def integer(
        self, data: Mapping[str, Any], key: str, default: int, most: int = 2**24, least: int = 1
    ) -> int:
        """Return a whole number from `least` to `most`."""
        value = data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.fail(f"{key} is {value!r}; expected a whole number from {least} to {most}")
        return value

    def token(self, data: Mapping[str, Any], key: str, default: int) -> int:
        """Return a token id."""
        value = data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.fail(f"{key} is {value!r}; expected a token id")
        return value

    def number(self, data: Mapping[str, Any], key: str, default: float) -> float:
        """Return a number between 0 and 1."""
        value = data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
            raise self.fail(f"{key} is {value!r}; expected a number between 0 and 1")
        return float(value)

    def flag(self, data: Mapping[str, Any], key: str, default: bool) -> bool:
        """Return a truth value."""
        value = data.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(f"{key} is {value!r}; expected true or false")
        return value
