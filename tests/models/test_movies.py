"""A classifier of movies: frames by themselves, or in their order; padding, numbers beside, and what is refused."""

import pytest
import torch

from amiss.errors import ContractError, UsageError
from amiss.models import MovieClassifier


def movies(**kwargs):
    torch.manual_seed(0)
    return (
        MovieClassifier(3, size=9, extra=2, width=2, code=4, hidden=kwargs.pop("hidden", 5), **kwargs).double().eval()
    )


def some(n=3, t=5):
    g = torch.Generator().manual_seed(1)
    return torch.rand(n, t, 1, 9, 9, generator=g).double(), torch.randn(n, t, 2, generator=g).double()


@pytest.mark.parametrize("hidden", [0, 5])
def test_the_order_of_frames_counts_where_there_is_a_recurrent_network(hidden):
    net, (x, beside) = movies(hidden=hidden), some()
    order = torch.tensor([3, 1, 4, 0, 2])
    same = torch.allclose(net(x, beside), net(x[:, order], beside[:, order]), atol=1e-9)
    assert same == (hidden == 0)
    assert torch.allclose(net(x, beside), net.each(x, beside).mean(1))


@pytest.mark.parametrize("hidden", [0, 5])
def test_nothing_behind_an_end_is_looked_at(hidden):
    net, (x, beside), lengths = movies(hidden=hidden), some(), torch.tensor([5, 2, 4])
    padded, by = x.clone(), beside.clone()
    for row, end in enumerate(lengths):
        padded[row, end:] = torch.nan
        by[row, end:] = torch.nan
    told = net(padded, by, lengths)
    for row, end in enumerate(lengths):
        assert torch.allclose(told[row], net(x[row : row + 1, :end], beside[row : row + 1, :end])[0])


@pytest.mark.parametrize(
    "call",
    [
        lambda net, x, b: net(x[:, :0], b[:, :0]),
        lambda net, x, b: net(x[..., :8], b),
        lambda net, x, b: net(x),
        lambda net, x, b: net(x, b[..., :1]),
        lambda net, x, b: net(x, b[:, :3]),
        lambda net, x, b: net(x * torch.nan, b),
        lambda net, x, b: net(x, b * torch.nan),
        lambda net, x, b: net(x, b, torch.tensor([5, 0, 1])),
    ],
)
def test_what_is_no_movie_is_refused(call):
    with pytest.raises(ContractError):
        call(movies(), *some())


@pytest.mark.parametrize("arguments", [{"classes": 0}, {"size": 7}, {"extra": -1}, {"hidden": -1}, {"width": 0}])
def test_classifiers_that_there_are_not_are_refused(arguments):
    with pytest.raises(UsageError, match="movie-classifier"):
        MovieClassifier(**{"classes": 2, **arguments})


@pytest.mark.parametrize("kind", [torch.uint8, torch.float64])
def test_movies_of_another_type_than_the_weights_are_refused(kind):
    with pytest.raises(ContractError, match="sequence-type") as caught:
        MovieClassifier(2, size=8)(torch.zeros(2, 3, 1, 8, 8, dtype=kind))
    assert ("255" in caught.value.hint) == (kind == torch.uint8)
