"""Simulated users in which a policy's return is known, in Gymnasium's interface; `register()` names the environments."""

import gymnasium


def register() -> None:
    """Make `Marquee-v0` and `MarqueeTiny-v0` known to `gymnasium.make`."""
    if "Marquee-v0" in gymnasium.registry:
        return
    room = f"{__name__}.marquee"
    gymnasium.register("Marquee-v0", f"{room}:MarqueeEnv", vector_entry_point=f"{room}:MarqueeVectorEnv")
    gymnasium.register("MarqueeTiny-v0", f"{__name__}.tiny:TinyEnv")
