"""Where bfloat16 pays."""

import torch


def bfloat16_is_fast(device: str) -> bool:
    """Whether it multiplies faster than float32: on a GPU that has it, on a CPU with tiles for it (AMX).

    AVX-512's bfloat16 instructions alone were measured to be slower; what has none imitates them, slower by far.
    """
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))
