"""Claim: `Marquee-v0` takes 20,000 steps or more per CPU second, with 900 items and 256 episodes side by side.

    python benchmarks/environment.py

Prints steps per CPU second for both kinds of action, a median of five runs of 200 steps. Random actions, so users leave soon,
and most of the work is letting new users watch their first ten movies.
"""

import time
from statistics import median

from models.environments.marquee import ActionKind, MarqueeParams, MarqueeVectorEnv

EPISODES, STEPS, RUNS = 256, 200, 5


def steps_per_cpu_second(actions: ActionKind) -> float:
    """The median over RUNS."""
    env = MarqueeVectorEnv(EPISODES, MarqueeParams(actions=actions))
    env.reset(seed=0)
    env.action_space.seed(0)
    taken = [env.action_space.sample() for _ in range(STEPS)]
    found = []
    for _ in range(RUNS):
        began = time.process_time()
        for action in taken:
            env.step(action)
        found.append(EPISODES * STEPS / (time.process_time() - began))
    return median(found)


def main() -> None:
    """Measure and print."""
    kinds: tuple[ActionKind, ...] = ("embedding", "item")
    for kind in kinds:
        print(f"{kind:10} {steps_per_cpu_second(kind):,.0f} steps per CPU second")


if __name__ == "__main__":
    main()
