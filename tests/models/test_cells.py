"""Recurrent cells: the formulas against torch's own, sequences against steps, and what both directions know."""

import pytest
import torch

from amiss.errors import ContractError, UsageError
from amiss.models.cells import CELLS, lstm
from amiss.models.recurrent import Recurrent, check_sequences, counted, last_of, turned_back

NAMES = list(CELLS)


def network(cell, **kwargs):
    torch.manual_seed(0)
    return Recurrent(3, 5, cell, **kwargs).double()


def looped(net, x):
    """All states by single steps."""
    states, out = net.start(len(x)), []
    for frame in x.unbind(1):
        h, states = net.step(frame, states)
        out.append(h)
    return torch.stack(out, 1), states


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", NAMES)
def test_single_steps_by_the_formulas_equal_the_whole_sequence(cell, layers):
    net, x = network(cell, layers=layers), torch.randn(4, 6, 3, dtype=torch.float64)
    whole, ends = net(x)
    steps, last = looped(net, x)
    assert (whole - steps).abs().max() < 1e-12
    assert all(
        (a - b).abs().max() < 1e-12 for x, y in zip(ends, last, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize(
    ("cell", "theirs"), [("rnn", torch.nn.RNNCell), ("lstm", torch.nn.LSTMCell), ("gru", torch.nn.GRUCell)]
)
def test_the_formulas_are_those_of_torch_s_own_cells(cell, theirs):
    net, x = network(cell), torch.randn(4, 3, dtype=torch.float64)
    single = theirs(3, 5).double()
    single.load_state_dict({k: net.rows[0].state_dict()[f"{k}_l0"] for k in single.state_dict()})
    state = tuple(torch.randn(4, 5, dtype=torch.float64) for _ in range(CELLS[cell].states))
    wanted = single(x, state if len(state) > 1 else state[0])
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    found = CELLS[cell].update(x, state, net.weights(0))
    assert max((a - b).abs().max() for a, b in zip(found, wanted, strict=True)) < 1e-12


def test_the_book_s_cell_differs_from_the_usual_one_in_its_candidate_alone():
    net, x = network("lstm-sigmoid"), torch.randn(4, 3, dtype=torch.float64)
    state = (torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64))
    book = CELLS["lstm-sigmoid"].update(x, state, net.weights(0))
    assert torch.equal(book[1], lstm(x, state, net.weights(0), torch.sigmoid)[1])
    weights, h = net.weights(0), state[0]
    let_in, keep, new, let_out = (
        (x @ u.T + h @ w.T + b + c).sigmoid()
        for u, w, b, c in zip(
            weights.into.chunk(4),
            weights.back.chunk(4),
            weights.bias.chunk(4),
            weights.bias_back.chunk(4),
            strict=True,
        )
    )
    s = keep * state[1] + let_in * new  # equations 10.40 to 10.44 of the book, word by word
    assert (book[1] - s).abs().max() < 1e-12
    assert (book[0] - s.tanh() * let_out).abs().max() < 1e-12


@pytest.mark.parametrize("cell", NAMES)
def test_gradients_are_those_of_finite_differences(cell):
    net = network(cell)
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: net(x)[0], (x,), eps=1e-6, atol=1e-7, rtol=1e-5)
    weights = list(net.parameters())
    assert torch.autograd.gradcheck(
        lambda *_: looped(net, x.detach())[0], tuple(weights), eps=1e-6, atol=1e-7, rtol=1e-5
    )


@pytest.mark.parametrize("cell", NAMES)
def test_padding_is_never_looked_at_in_either_direction(cell):
    net, lengths = network(cell, layers=2, bidirectional=True), torch.tensor([6, 2, 4])
    x = torch.randn(3, 6, 3, dtype=torch.float64)
    other = x.clone()
    for row, end in enumerate(lengths):
        other[row, end:] = 99
    for row, end in enumerate(lengths):
        alone = net(x[row : row + 1, :end])[0]
        for padded in (x, other):
            assert (net(padded, lengths)[0][row, :end] - alone[0]).abs().max() < 1e-12


def test_one_direction_knows_the_past_alone_and_both_know_all():
    x = torch.randn(1, 5, 3, dtype=torch.float64, requires_grad=True)
    for both in (False, True):
        h = network("gru", bidirectional=both)(x)[0]
        (slope,) = torch.autograd.grad(h[0, 2].sum(), x)
        assert (slope[0].abs().sum(1) > 0).tolist() == [True] * 3 + [both] * 2


def test_a_sequence_may_be_cut_anywhere_and_carried_on():
    net, x = network("lstm", layers=2), torch.randn(2, 7, 3, dtype=torch.float64)
    first, states = net(x[:, :3])
    assert (torch.cat([first, net(x[:, 3:], states=states)[0]], 1) - net(x)[0]).abs().max() < 1e-12


def test_gates_that_remember_forget_at_the_rates_asked_for():
    plain, slow = network("lstm"), Recurrent(3, 500, "lstm", memory=100)
    assert torch.equal(plain.weights(0).bias[5:10], torch.ones(5, dtype=torch.float64))
    keep = slow.weights(0).bias.detach()[500:1000].sigmoid()
    steps = 1 / (1 - keep)  # time constants: 1 + a uniform number from 1 to 100
    assert 2 <= steps.min() < steps.max() <= 101
    assert abs(float(steps.mean()) - 51.5) < 5


def test_turning_back_twice_is_nothing_and_the_last_frame_comes_first():
    x, lengths = torch.randn(3, 6, 2), torch.tensor([6, 1, 4])
    back = turned_back(x, lengths)
    assert torch.equal(turned_back(back, lengths), x)
    assert torch.equal(back[:, 0], last_of(x, lengths))
    assert torch.equal(last_of(x, None), x[:, -1])


@pytest.mark.parametrize(
    ("x", "lengths", "slug"),
    [
        (torch.zeros(2, 4), None, "sequence-shape"),
        (torch.zeros(2, 4, 2), None, "sequence-shape"),
        (torch.zeros(2, 0, 3), None, "sequence-shape"),
        (torch.zeros(2, 4, 3), torch.tensor([4]), "sequence-lengths"),
        (torch.zeros(2, 4, 3), torch.tensor([4, 0]), "sequence-lengths"),
        (torch.zeros(2, 4, 3), torch.tensor([4, 5]), "sequence-lengths"),
        (torch.zeros(2, 4, 3), torch.tensor([4.0, 2.5]), "sequence-lengths"),
        (torch.zeros(2, 4, 3), torch.tensor([[4, 4]]), "sequence-lengths"),
        (torch.zeros(2, 4, 3), torch.tensor(4), "sequence-lengths"),
        (torch.zeros(2, 4, 3), [4, 4], "sequence-lengths"),
        (torch.full((2, 4, 3), torch.nan), None, "sequence-finite"),
    ],
)
def test_what_is_no_sequence_is_refused(x, lengths, slug):
    with pytest.raises(ContractError) as caught:
        check_sequences(x, (3,), lengths)
    assert caught.value.slug == slug


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    ("x", "lengths", "slug", "seen"),
    [
        (torch.zeros(4, 10, 3), torch.tensor([11, 7, 3, 1]), "sequence-lengths", "from 1 to 11"),
        (torch.zeros(4, 10, 3), torch.tensor([10, 7, 3, 0]), "sequence-lengths", "from 0 to 10"),
        (torch.zeros(4, 10, 3), torch.tensor([10, 7, 3]), "sequence-lengths", "3 lengths"),
        (torch.zeros(4, 10, 3), torch.tensor([1.5, 7, 3, 1]), "sequence-lengths", "float32"),
        (torch.zeros(4, 10, 3), [10, 7, 3, 1], "sequence-lengths", "a list"),
        (torch.zeros(4, 10, 2), None, "sequence-shape", "(4, 10, 2)"),
        (torch.zeros(10, 3), None, "sequence-shape", "(10, 3)"),
        (torch.zeros(4, 10, 3).numpy(), None, "sequence-shape", "ndarray"),
        (torch.zeros(4, 10, 3).double(), None, "sequence-type", "float64"),
        (torch.zeros(4, 10, 3, dtype=torch.int64), None, "sequence-type", "int64"),
    ],
)
def test_a_network_refuses_what_does_not_fit_before_torch_does(both, x, lengths, slug, seen):
    with pytest.raises(ContractError) as caught:
        Recurrent(3, 5, "gru", bidirectional=both)(x, lengths)
    assert caught.value.slug == slug and seen in caught.value.seen


def test_lengths_of_any_whole_type_are_the_same_lengths():
    net, x = network("gru", bidirectional=True), torch.randn(2, 4, 3, dtype=torch.float64)
    wanted = net(x, torch.tensor([4, 2]))[0]
    assert all(
        torch.equal(net(x, torch.tensor([4, 2], dtype=kind))[0], wanted) for kind in (torch.uint8, torch.int32)
    )


def test_a_frame_that_does_not_count_may_hold_anything():
    x = torch.zeros(2, 4, 3)
    x[1, 2:] = torch.nan
    check_sequences(x, (3,), torch.tensor([4, 2]))
    with pytest.raises(ContractError, match="frame 2 of sequence 1"):
        check_sequences(x, (3,), torch.tensor([4, 3]))


@pytest.mark.parametrize(
    "arguments", [{"cell": "elm"}, {"hidden": 0}, {"layers": 9}, {"inputs": 10**6}, {"memory": -1}]
)
def test_networks_that_there_are_not_are_refused(arguments):
    with pytest.raises(UsageError, match="recurrent-network"):
        Recurrent(**{"inputs": 3, **arguments})


def test_both_directions_cannot_go_step_by_step():
    net = Recurrent(3, 5, bidirectional=True)
    with pytest.raises(UsageError, match="recurrent-step"):
        net.step(torch.zeros(1, 3), net.start(1))


@pytest.mark.parametrize(
    ("training", "asked", "enabled"), [(False, True, False), (False, False, True), (True, True, True)]
)
def test_a_model_that_rests_gives_gradients_by_kernels_that_have_them(training, asked, enabled):
    net = Recurrent(3, 4, "gru").train(training)
    seen = []
    net.rows[0].register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.enabled))
    with torch.set_grad_enabled(asked):
        net(torch.randn(2, 5, 3))
    assert seen == [enabled]
    assert torch.backends.cudnn.enabled


def test_frames_before_an_end_count():
    assert counted(torch.tensor([3, 1]), 4).tolist() == [[True, True, True, False], [True, False, False, False]]
    assert counted(torch.tensor([2], device="meta"), 2).device.type == "meta"
