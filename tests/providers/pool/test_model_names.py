"""Which endpoints a model's name leads to: those of one endpoint, of a vendor, of nobody."""

from __future__ import annotations

import pytest

from callboard.actors.testing import virtual_time
from callboard.providers.errors import NoProvider, ProviderOverloaded, UnknownModel
from callboard.providers.pool import Requester, Submit

from .scripted import Script, endpoint, fails, pool_of, request


@pytest.mark.parametrize("mark", [":", "/"])
@virtual_time
async def test_a_model_with_an_endpoints_name_before_it_is_that_endpoints_alone(mark: str) -> None:
    one, two = Script("one"), Script("two", latency=5.0)
    async with pool_of(endpoint(one, priority=-1), endpoint(two)) as pool:
        answers = [await pool.ask(request(model=f"two{mark}gpt-4o")) for _ in range(3)]
    assert [answer.provider for answer in answers] == ["two"] * 3
    assert [sent.model for _, sent in two.seen] == ["gpt-4o"] * 3
    assert one.seen == []


@virtual_time
async def test_of_two_endpoints_whose_names_a_models_begins_with_it_is_the_one_with_the_longer_names() -> None:
    one, two = Script("acme"), Script("acme:eu")
    async with pool_of(endpoint(one), endpoint(two)) as pool:
        answers = [await pool.ask(request(model=f"{name}:large")) for name in ("acme", "acme:eu")]
    assert [answer.provider for answer in answers] == ["acme", "acme:eu"]
    assert [sent.model for _, sent in (*one.seen, *two.seen)] == ["large", "large"]


@virtual_time
async def test_it_is_not_another_endpoints_either_while_its_own_does_not_serve_it() -> None:
    one = Script("one")
    async with pool_of(endpoint(one), endpoint(Script("two"), models=("small",))) as pool:
        with pytest.raises(UnknownModel, match="two does not serve model 'large'"):
            await pool.ask(request(model="two:large"))
        with pytest.raises(NoProvider):
            await pool.ask(Submit(request(model="two:small"), Requester(endpoint="one")))
    assert one.seen == []


@virtual_time
async def test_a_prefix_that_names_nobody_is_refused_with_the_names_that_there_are() -> None:
    one = Script("one")
    async with pool_of(endpoint(one), endpoint(Script("two"))) as pool:
        for model in ("three:gpt-4o", "three/gpt-4o"):
            with pytest.raises(UnknownModel, match=r"called 'three'.*providers: one, two"):
                await pool.ask(request(model=model))
    assert one.seen == []


@virtual_time
async def test_a_listed_name_may_have_such_marks_in_it() -> None:
    local = endpoint(Script("local"), models=("llama3:8b", "meta-llama/Llama-3"))
    async with pool_of(endpoint(Script("open")), local) as pool:
        for model in ("llama3:8b", "meta-llama/Llama-3", "local:llama3:8b"):
            answer = await pool.ask(Submit(request(model=model), Requester(endpoint="local")))
            assert answer.provider == "local"
        assert (await pool.ask(request(model="open:llama4:8b"))).model == "llama4:8b"


@virtual_time
async def test_a_vendors_name_leads_to_that_vendors_endpoints_or_else_to_gateways() -> None:
    a, b, gate = Script("a"), Script("b"), Script("gate")
    openai, anthropic = endpoint(a, vendor="openai"), endpoint(b, vendor="anthropic")
    async with pool_of(anthropic, openai) as pool:
        assert (await pool.ask(request(model="openai:gpt-4o"))).provider == "a"
        assert a.seen[0][1].model == "gpt-4o"
        with pytest.raises(UnknownModel, match="mistral/small"):
            await pool.ask(request(model="mistral/small"))
    async with pool_of(anthropic, endpoint(gate, vendor="openrouter")) as pool:
        assert (await pool.ask(request(model="mistral/small"))).provider == "gate"
        assert gate.seen[0][1].model == "mistral/small", "a gateway knows models with their vendor's name"
    assert b.seen == []


@virtual_time
async def test_a_named_endpoint_is_not_stood_in_for_while_it_is_down() -> None:
    one, two = Script("one"), Script("two", failure=fails(lambda: ProviderOverloaded("503", status=503)))
    async with pool_of(endpoint(one), endpoint(two), queue_timeout=5.0) as pool:
        with pytest.raises(NoProvider):
            await pool.ask(request(model="two:gpt-4o"))
    assert one.seen == []
