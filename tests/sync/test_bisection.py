"""How the bad products of a refused batch are found: how far the search goes, and what a message is believed."""

from __future__ import annotations

from time import process_time

import pytest
from sync_shop import item, items

from neuroon_async import BatchResult
from neuroon_async.api.results import ProductError
from neuroon_async.errors import UnprocessableEntity, ValidationFailed
from neuroon_async.sync.bisection import MAX_REFUSALS_IN_A_ROW, Bisection, missing_parents, pieces, refused_items

VAGUE = ValidationFailed(400, message="no")


def ids(products):
    return [product.external_id for product in products]


def refused(message, *fields):
    return ValidationFailed(400, message=message, field_errors=dict.fromkeys(fields, "bad"))


def searched(bisection, accepts=lambda _number: False):
    """Every piece that is tried, where the server refuses all but those by these numbers."""
    tried = []
    while (piece := bisection.next_piece()) is not None:
        tried.append(piece)
        bisection.settled()
        if accepts(len(tried)):
            bisection.accepted(piece)
            continue
        bisection.refusals += 1
        if len(piece) > 1:
            bisection.refused(piece, VAGUE)
    return tried


def was_taken_apart(tried, number):
    return any(set(ids(later)) < set(ids(tried[number - 1])) for later in tried[number:])


@pytest.mark.parametrize("accepted", [0, 10])
def test_after_so_many_refusals_in_a_row_nothing_more_is_taken_apart(accepted):
    bisection = Bisection(items(300))
    tried = searched(bisection, lambda number: number == accepted)
    last = accepted + MAX_REFUSALS_IN_A_ROW
    assert MAX_REFUSALS_IN_A_ROW == 64, "the documentation names it"
    several = [number for number, piece in enumerate(tried, 1) if len(piece) > 1 and number != accepted]
    taken_apart = [number for number in several if was_taken_apart(tried, number)]
    assert taken_apart == [number for number in several if number < last]
    left, error = bisection.give_up()
    assert error is VAGUE
    assert sorted(ids(left)) == sorted(each for number in several if number >= last for each in ids(tried[number - 1]))
    assert bisection.give_up() is None


def test_a_piece_of_exactly_the_last_refusal_is_postponed():
    bisection = Bisection(items(4))
    bisection.refusals = MAX_REFUSALS_IN_A_ROW
    piece = bisection.next_piece()
    bisection.settled()
    bisection.refused(piece, VAGUE)
    assert bisection.next_piece() is None
    assert bisection.give_up() == (piece, VAGUE)


def test_nothing_is_given_up_where_nothing_was_postponed():
    bisection = Bisection(items(4))
    searched(bisection)
    assert bisection.give_up() is None


def test_empty_pieces_are_never_tried():
    bisection = Bisection(items(2))
    bisection.settled()
    bisection.push([], items(1), [])
    assert searched(bisection) == [items(1)]


def test_clues_are_believed_up_to_a_size():
    batch = [item(0, sku="a"), item(1, sku="b"), item(2), item(3)]
    halved = [["p0", "p1"], ["p2", "p3"]]
    everything = " ".join(f"'{each}'" for each in ids(batch))
    assert [ids(each) for each in pieces(batch, refused(everything))] == halved
    assert [ids(each) for each in pieces(batch, refused("'p0' 'p1' 'p2'"))] == [["p0", "p1", "p2"], ["p3"]]
    assert [ids(each) for each in pieces(batch[1:] + batch[:1], refused("sku: bad", "sku"))] == [
        ["p1", "p0"],
        ["p2", "p3"],
    ]


def test_each_of_the_servers_words_is_a_clue_of_its_own():
    clue = refused("'p1' and the owner's", "'p3'", "products[4].name")
    assert [ids(each) for each in pieces(items(6), clue)] == [["p1", "p3", "p4"], ["p0", "p2", "p5"]]


def test_two_currencies_are_kept_apart():
    batch = [item(0, currency="EUR"), item(1, currency="EUR"), item(2, currency="EUR"), item(3, currency="USD")]
    mixed = UnprocessableEntity(422, message="currency mismatch")
    assert [len(each) for each in pieces(batch, mixed)] == [3, 1]


def test_a_parents_id_may_hold_anything():
    assert missing_parents("parentExternalId 'a\nb' not found") == {"a\nb"}
    assert missing_parents("parentExternalId 'o'neill' not found") == {"o'neill"}


def test_a_complaint_of_a_parent_in_other_words_does_not_reach_into_the_next_one():
    message = "parentExternalId 'a' is hidden, parentExternalId 'b' not found"
    assert missing_parents(message) == {"b"}


def test_many_complaints_of_parents_in_other_words_take_no_longer_than_it_takes_to_read_them():
    message = ", ".join(f"parentExternalId 'p{number}' does not exist" for number in range(20_000))
    started = process_time()
    assert missing_parents(message) == set()
    assert process_time() - started < 5  # a minute and more, where each is searched up to the message's end


@pytest.mark.parametrize("fields", [(), ("name",)])
def test_an_index_of_thousands_of_digits_names_no_product(fields):
    halved = [["p0", "p1"], ["p2", "p3"]]
    assert [ids(each) for each in pieces(items(4), refused(f"products[{'9' * 5000}]: bad", *fields))] == halved


def test_all_reasons_of_a_product_are_told():
    said = [ProductError("p1", "bad"), ProductError("p1", None), ProductError("p0", "worse")]
    named, unnamed = refused_items(items(3), BatchResult(errors=said))
    assert named == {"p0": "worse", "p1": "bad; refused without a reason"}
    assert unnamed == []


def test_no_more_products_are_refused_than_there_are():
    strangers = [ProductError(f"s{number}", None) for number in range(5)]
    named, unnamed = refused_items(items(3), BatchResult(errors=[ProductError("p1", None), *strangers]))
    assert named == {"p1": "refused without a reason"}
    assert len(unnamed) == 2
