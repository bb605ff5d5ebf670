"""Blurring in place along chains of vertices, against a dictionary of who lies beside whom."""

import numpy as np
import pytest

from atrous.crf.chains import blur, blur_numbers, find_chains, share_of_axis, unchain
from atrous.crf.lattice import Lattice, build_lattice
from atrous.crf.lattice_build import ABSENT, join, new_table
from atrous.crf.threads import Team
from atrous.ops.row_shapes import shape_of

from .conftest import made_image

STEP = 7


def some_keys(count, seed=0):
    """Return (count + 1,) keys, of which many lie one step apart; the first is unused."""
    numbers = np.random.default_rng(seed).choice(STEP * count // 2, count, replace=False)
    return np.append(0, numbers)


def tabled(keys):
    """Return the table of keys that are all different, and the keys with the first marked."""
    table, known = new_table(len(keys)), np.full(len(keys), ABSENT)
    assert len(join(table, known, 1, keys)) == 0
    return table, known


def blurred(keys, values):
    """Return values + (one side + other side) / 2, by looking every neighbour up."""
    row = {key: number for number, key in enumerate(keys) if number}
    result = values.astype(np.float64)
    for key, number in row.items():
        for side in (key - STEP, key + STEP):
            if side in row:
                result[number] += values[row[side]] / 2
    return result


def lattice_of(chains, threads):
    """Return a lattice of which only the chains along one axis and the number of threads count."""
    nothing = np.zeros(0, np.int32)
    chain_edges, edges = np.array([0, len(chains)]), np.ones(threads + 1, np.int64)
    copies = nothing.reshape(0, 2), np.zeros(threads + 1, np.int64)
    where = nothing.reshape(0, 1), nothing.reshape(0, 1).astype(np.float32)
    return Lattice((0,), *where, chains, chain_edges, *copies, edges)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 400])
def test_threads_blur_as_the_definition_says(count, threads):
    keys = some_keys(count)
    chains = find_chains(*tabled(keys), STEP)
    values = np.random.default_rng(1).random((count + 1, 16)).astype(np.float32)
    rows, numbers, places = np.stack([-values, values], axis=1), values[:, 0].copy(), [0]

    for thread in range(threads):
        begin, end = share_of_axis(lattice_of(chains, threads), 0, thread)
        assert begin == places[-1]
        places.append(end)
        blur(rows.reshape(-1, 16), chains, begin, end, 1, shape_of(16))
        blur_numbers(numbers, chains, begin, end)

    assert places[-1] == len(chains)
    np.testing.assert_array_equal(rows[:, 0], -values)  # the other turn's
    np.testing.assert_allclose(rows[:, 1], blurred(keys, values), rtol=1e-6)
    np.testing.assert_allclose(numbers, blurred(keys, values[:, 0]), rtol=1e-6)


def test_a_vertex_without_neighbours_is_in_no_chain():
    assert find_chains(*tabled(np.array([0, 10, 20, 10 + STEP])), STEP).tolist() == [1, -3]


def test_chains_tell_who_lies_beside_whom():
    keys = some_keys(50)
    chains = find_chains(*tabled(keys), STEP)
    neighbours = np.zeros((2, 51), np.int32)

    unchain(chains, 0, len(chains), neighbours)

    for sign, found in ((1, neighbours[0]), (-1, neighbours[1])):
        for vertex in range(1, 51):
            beside = np.flatnonzero(keys[1:] == keys[vertex] + sign * STEP) + 1
            assert found[vertex] == (beside[0] if len(beside) else 0)


@pytest.mark.parametrize("threads", [2, 5])
def test_copies_are_what_threads_have_in_common(threads):
    image = made_image(60, 50)
    stds, extra = np.array([9, 9, 30, 30, 30], np.float32), np.zeros((0, 60, 50), np.float32)
    alone = build_lattice(image, extra, stds, Team(1))
    with Team(threads) as team:
        lattice = build_lattice(image, extra, stds, team)

    original = np.arange(lattice.num_rows)
    original[lattice.copies[:, 0]] = lattice.copies[:, 1]
    shared = original[lattice.vertices]
    _, first = np.unique(shared, return_index=True)  # a pixel and a corner of every vertex
    same = alone.vertices.ravel()[first]
    assert len(first) == len(set(same)) == lattice.num_vertices == alone.num_vertices
    renamed = np.zeros(lattice.num_rows, np.int32)
    renamed[shared.ravel()[first]] = same
    np.testing.assert_array_equal(renamed[shared], alone.vertices)
    for thread, (begin, end) in enumerate(team.cuts(len(shared))):  # nobody touches another's
        own = lattice.vertices[begin:end]
        assert lattice.edges[thread] <= own.min()
        assert own.max() < lattice.edges[thread + 1]
