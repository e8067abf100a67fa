"""Checkpoints of models: nothing in them is ever run, and many shapes of scripts fit in."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.metadata import MetadataIndex
from torch.distributed.checkpoint.planner import LoadItemType, ReadItem
from torch.optim import SGD, Optimizer

import scaletune_trainer as scaletune
from scaletune_trainer import optim, random_states, schedule
from scaletune_trainer.checkpoint import Checkpoints, Position
from scaletune_trainer.failure import Kind, VolumeError, kind_of
from scaletune_trainer.gang import Gang
from scaletune_trainer.tensors import PlainPlanner, _PlainUnpickler
from scaletune_trainer.tracked import Tracked
from scaletune_trainer.wire import Place


class Small(nn.Module):
    """An embedding, a hidden matrix, a head tied to nothing, and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, 16)
        self.hidden = nn.Linear(16, 16)
        self.head = nn.Linear(16, 8, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.hidden(self.embedding(tokens)).relu())
        return found


def built(name: str) -> tuple[Small, list[Optimizer], Tracked]:
    torch.manual_seed(0)
    model = Small()
    optimizers = optim.build(name, model, learning_rate=0.01, weight_decay=0.1)
    tracked = Tracked()
    tracked.add("model", model)
    tracked.add("optimizers", optimizers)
    return model, optimizers, tracked


def train(model: Small, optimizers: list[Optimizer], steps: range) -> list[float]:
    losses = []
    for step in steps:
        schedule.set_rate(optimizers, 0.01 * schedule.factor(step, warm_up=2, steps=10))
        tokens = torch.randint(8, (4,), generator=torch.Generator().manual_seed(step))
        loss = nn.functional.cross_entropy(model(tokens), tokens)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def saved(folder: Path, tracked: Tracked, step: int) -> Path:
    Checkpoints(folder, "life", Gang(), tracked).save(Position(step, (1,)), lambda: 1)
    return folder / "life" / "checkpoints" / str(step)


@pytest.mark.parametrize("name", optim.NAMES)
def test_every_optimizer_goes_on_to_the_last_bit(tmp_path: Path, name: str) -> None:
    model, optimizers, tracked = built(name)
    train(model, optimizers, range(1, 4))
    folder = saved(tmp_path, tracked, 3)
    expected = train(model, optimizers, range(4, 8))

    model, optimizers, tracked = built(name)
    position = Checkpoints(tmp_path, "next", Gang(), tracked).restore(folder, seed=0)
    assert position == Position(3, (1,))
    assert train(model, optimizers, range(4, 8)) == expected


def test_muon_gets_the_hidden_matrices_and_adamw_the_rest() -> None:
    model, (muon, adamw), _ = built("muon")
    by_muon = {id(p) for group in muon.param_groups for p in group["params"]}
    by_adamw = {id(p) for group in adamw.param_groups for p in group["params"]}

    assert by_muon == {id(model.hidden.weight)}
    assert by_muon | by_adamw == {id(p) for p in model.parameters()}
    assert not by_muon & by_adamw


def test_only_matrices_decay() -> None:
    _, (adamw,), _ = built("adamw")

    assert all(
        (group["weight_decay"] > 0) == (parameter.ndim >= 2)
        for group in adamw.param_groups
        for parameter in group["params"]
    )


def test_an_unknown_optimizer_says_which_there_are() -> None:
    with pytest.raises(scaletune.UserError, match="adamw, adafactor, muon, sgd"):
        optim.build("adam", Small(), learning_rate=0.1)


def test_several_models_and_optimizers_fit_in_one_checkpoint(tmp_path: Path) -> None:
    def pair() -> tuple[Tracked, list[nn.Linear]]:
        models = [nn.Linear(2, 2), nn.Linear(2, 2)]
        tracked = Tracked()
        for index, model in enumerate(models):
            tracked.add(f"model_{index}", model)
            tracked.add(f"optimizer_{index}", SGD(model.parameters(), lr=0.1, momentum=0.9))
        return tracked, models

    first, models = pair()
    folder = saved(tmp_path, first, 1)
    second, others = pair()
    Checkpoints(tmp_path, "next", Gang(), second).restore(folder, seed=0)

    assert all(torch.equal(a.weight, b.weight) for a, b in zip(models, others, strict=True))


class Bomb:
    """What a pickle can do to whoever opens it."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("exploded",))


@pytest.mark.parametrize("file", [".metadata", "plain.pt", "state.json"])
def test_a_checkpoint_never_runs_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    _, _, tracked = built("adamw")
    folder = saved(tmp_path, tracked, 1)
    (folder / file).write_bytes(pickle.dumps(Bomb(), protocol=2))

    with pytest.raises(VolumeError, match="cannot read"):
        Checkpoints(tmp_path, "next", Gang(), tracked).restore(folder, seed=0)
    assert "exploded" not in capsys.readouterr().out


def test_a_value_within_a_checkpoint_never_runs_code(capsys: pytest.CaptureFixture[str]) -> None:
    value = io.BytesIO()
    torch.save(Bomb(), value)
    value.seek(0)
    index = MetadataIndex("optimizer.state")
    item = ReadItem(LoadItemType.BYTE_IO, index, torch.Size(), index, torch.Size(), torch.Size())

    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        PlainPlanner().load_bytes(item, value)
    assert "exploded" not in capsys.readouterr().out


class _Attribute:
    """Pickled as Python before 3.11.4 pickled the member of an enumeration."""

    def __init__(self, of: object, name: str) -> None:
        self.what = of, name

    def __reduce__(self) -> tuple[object, tuple[object, str]]:
        return getattr, self.what


def test_an_index_written_by_an_older_python_is_read() -> None:
    written = pickle.dumps(_Attribute(LoadItemType, "TENSOR"))

    assert _PlainUnpickler(io.BytesIO(written)).load() is LoadItemType.TENSOR


def test_an_index_reaches_no_attribute_but_the_members_of_enumerations() -> None:
    written = pickle.dumps(_Attribute(MetadataIndex, "__init__"))

    with pytest.raises(pickle.UnpicklingError, match="has no place in a checkpoint's index"):
        _PlainUnpickler(io.BytesIO(written)).load()


def test_a_model_built_otherwise_is_the_users_error(tmp_path: Path) -> None:
    _, _, tracked = built("adamw")
    folder = saved(tmp_path, tracked, 1)
    other = Tracked()
    other.add("model", nn.Linear(3, 3))

    with pytest.raises(scaletune.UserError, match="built as they were"):
        Checkpoints(tmp_path, "next", Gang(), other).restore(folder, seed=0)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.AcceleratorError("CUDA error: uncorrectable ECC error"), Kind.INFRASTRUCTURE),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), Kind.EXCEPTION),
        (torch.OutOfMemoryError("CUDA out of memory"), Kind.MEMORY),
    ],
)
def test_an_error_of_the_device_that_comes_out_at_a_checkpoint_is_judged_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: Kind
) -> None:
    def resolve_data(*args: object) -> None:
        raise error

    monkeypatch.setattr(DefaultSavePlanner, "resolve_data", resolve_data)
    _, _, tracked = built("adamw")

    with pytest.raises(type(error)) as raised:
        saved(tmp_path, tracked, 1)
    assert kind_of(raised.value) is kind


def test_a_default_device_of_the_script_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    place = f"file://{tmp_path}/store"
    dist.init_process_group("gloo", init_method=place, rank=0, world_size=1)
    try:
        gang = Gang()
        gang.join()
        state = random_states.capture()
        with torch.device("meta"):  # has no values, as "cuda" has none here
            random_states.restore(state)
            assert gang.maxima([3, 1]) == [3, 1]
            assert gang.told_by_rank_0("a life") == "a life"
        assert random_states.capture() == state
    finally:
        dist.destroy_process_group()


def test_a_checkpoint_that_is_missing_says_where(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="cannot read the checkpoint"):
        Checkpoints(tmp_path, "next", Gang(), Tracked()).restore(tmp_path / "5", seed=0)


def test_the_last_two_and_the_newest_stored_checkpoint_are_kept(tmp_path: Path) -> None:
    tracked = Tracked()
    tracked.add("state", {"n": 1})
    checkpoints = Checkpoints(tmp_path, "life", Gang(), tracked)
    for step in range(1, 7):
        checkpoints.save(Position(step), lambda step=step: 10 * step)  # type: ignore[misc]
        checkpoints.forget(acknowledged=25)
    folder = tmp_path / "life" / "checkpoints"

    assert sorted(path.name for path in folder.iterdir()) == ["2", "5", "6"]
    checkpoints.remove(Place("life", 6))
    assert (folder / "6").exists()

    later = Checkpoints(tmp_path, "later", Gang(), tracked)
    later.remove(Place("life", 5))
    assert [path.name for path in folder.iterdir()] == ["6"], "with it go those before it"


@pytest.mark.parametrize(("shape", "end"), [("constant", 1.0), ("linear", 0.1), ("cosine", 0.1)])
def test_a_schedule_warms_up_and_ends_at_its_floor(shape: str, end: float) -> None:
    rates = [schedule.factor(step, warm_up=4, steps=20, shape=shape) for step in range(1, 21)]

    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[-1] == pytest.approx(end)
    assert rates[3:] == sorted(rates[3:], reverse=True)
