"""Questions that come shortly after one another are answered together."""

import asyncio

from prometheus_client import CollectorRegistry

from serving.asking import Answer, Question
from serving.batching import Batcher
from serving.recommend import Recommender


def test_a_question_that_comes_shortly_after_another_is_answered_with_it(recommender: Recommender) -> None:
    registry, question = CollectorRegistry(), Question(k=3)

    async def ask_twice() -> list[Answer]:
        batcher = Batcher(registry)
        running = asyncio.create_task(batcher.run())
        first = asyncio.create_task(batcher.ask(recommender, question))
        for _ in range(2):  # the first one is taken from the queue
            await asyncio.sleep(0)
        assert batcher.queue.empty()
        answers = [await batcher.ask(recommender, question), await first]
        running.cancel()
        return answers

    assert asyncio.run(ask_twice()) == [recommender.recommend(question)] * 2
    assert registry.get_sample_value("marquee_batch_size_count") == 1
    assert registry.get_sample_value("marquee_batch_size_sum") == 2
