"""A teacher behind any OpenAI-compatible endpoint: many requests at a time, each until it is answered or hopeless.

Knows HTTP; nothing of rows, schemas' meaning or the cache.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from lora_agent.errors import ConfigError, TeacherError

from ..recipe import Teacher
from .backoff import delay, retry_after
from .purse import Purse
from .questions import Answer, Question

Keep = Callable[[int, Answer], None]

_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_HOPELESS = {401: "the key", 403: "the key's rights", 404: "`url` and `model`", 405: "`url`"}
"""Answers that every further request would get as well, and what to look at."""
_LONGEST_WAIT = 300.0
_GIVE_UP = 3
"""Questions in a row that no try got an answer to: the endpoint is down, not the question hard."""


class Endpoint:
    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self.identity = {"endpoint": str(teacher.url).rstrip("/"), "model": teacher.model, "form": teacher.structured}
        self._rng = random.Random()
        self._not_before = 0.0
        self._unanswered = 0

    def ask(self, questions: Sequence[Question], purse: Callable[[], Purse], keep: Keep) -> int:
        """Ask all; `keep(index, answer)` gets each answer as it comes. Returns how many were not asked because the
        budget was used up. Raises ConfigError where no request can succeed, TeacherError if the endpoint is down."""
        return asyncio.run(self._ask(questions, purse(), keep))

    async def _ask(self, questions: Sequence[Question], purse: Purse, keep: Keep) -> int:
        todo = iter(enumerate(questions))
        unasked = 0

        async def work(client: httpx.AsyncClient) -> None:
            nonlocal unasked
            for index, question in todo:
                answer = await self._answer(client, question, purse)
                if answer is None:
                    unasked += 1
                    continue
                keep(index, answer)

        key = os.environ.get(self.teacher.api_key_env)
        async with httpx.AsyncClient(
            base_url=str(self.teacher.url).rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=None,  # `asyncio.timeout` below bounds the whole request, not each of its reads
            limits=httpx.Limits(max_connections=self.teacher.concurrency),
        ) as client:
            workers = [asyncio.create_task(work(client)) for _ in range(self.teacher.concurrency)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return unasked

    async def _answer(self, client: httpx.AsyncClient, question: Question, purse: Purse) -> Answer | None:
        """None if the budget is used up."""
        body = self._body(question)
        aside = question.max_tokens + sum(len(m["content"]) for m in question.messages) // 3
        problem = ""
        for attempt in range(self.teacher.retries + 1):
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            if not await purse.take(aside):
                return None
            cost, asked = aside, None  # of a request that fails on the way nobody says whether it was paid for
            try:
                async with asyncio.timeout(self.teacher.timeout):
                    response = await client.post("chat/completions", json=body)
                cost = 0 if response.is_error else aside
                if response.status_code in _HOPELESS:
                    raise self._hopeless(response)
                if response.status_code in _AGAIN:
                    problem = f"status {response.status_code}"
                    asked = retry_after(response.headers.get("Retry-After"))
                elif not response.is_success:
                    return Answer("", problem=f"the endpoint answered {response.status_code}: {response.text[:200]}")
                else:
                    answer = read_answer(response)
                    cost, self._unanswered = answer.tokens or aside, 0
                    return answer
            except TimeoutError:
                problem = f"no answer in {self.teacher.timeout:g} s"
            except (httpx.RequestError, BrokenAnswer) as error:
                problem = f"{type(error).__name__}: {error}"
            finally:
                await purse.settle(aside, cost)
            if attempt < self.teacher.retries:
                await self._pause(attempt, asked, problem)
        return self._none(problem)

    async def _pause(self, attempt: int, asked: float | None, problem: str) -> None:
        if asked is not None:
            if asked > _LONGEST_WAIT:
                raise TeacherError(
                    f"{self.identity['endpoint']} asks to wait {asked:.0f} s ({problem})",
                    hint="Run the same command again later: answers so far are kept and not paid for again.",
                )
            # what one request was told counts for all
            self._not_before = max(self._not_before, time.monotonic() + asked)
        await asyncio.sleep(delay(attempt, asked, self._rng))

    def _none(self, problem: str) -> Answer:
        self._unanswered += 1
        tries = self.teacher.retries + 1
        if self._unanswered >= _GIVE_UP:
            raise TeacherError(
                f"{self.identity['endpoint']} answers nothing: {tries} tries each for {_GIVE_UP} questions in a row, "
                f"at last {problem}",
                hint="Is it running? Run the same command again then: answers so far are kept and not paid for again.",
            )
        return Answer("", problem=f"no answer in {tries} tries, at last {problem}", final=False)

    def _hopeless(self, response: httpx.Response) -> ConfigError:
        url, code = response.request.url, response.status_code
        hint = f"Check {_HOPELESS[code]} (the key is read from {self.teacher.api_key_env})."
        return ConfigError(f"{url} answered {code}: {response.text[:300]}", hint=hint)

    def _body(self, question: Question) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.teacher.model,
            "messages": question.messages,
            "max_tokens": question.max_tokens,
            "temperature": question.temperature,
            "seed": question.sample,
        }
        if self.teacher.structured == "json_schema":
            form = {"name": "answer", "schema": question.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        elif self.teacher.structured == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body


class BrokenAnswer(ValueError):
    """A success that is no chat completion: cut off on the way, or from something that only looks like an endpoint."""


def read_answer(response: httpx.Response) -> Answer:
    """Raises BrokenAnswer."""
    try:
        value = response.json()
        choice = value["choices"][0]
        text = choice["message"]["content"] or ""
        finish = str(choice.get("finish_reason") or "stop")
        tokens = int((value.get("usage") or {}).get("total_tokens") or 0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise BrokenAnswer(f"{type(error).__name__}, {response.text[:80]!r}") from error
    refusal = choice["message"].get("refusal")
    return Answer(str(text), finish, tokens, f"refused: {refusal}" if refusal else None)
