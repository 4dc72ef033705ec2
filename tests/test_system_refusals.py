"""Lists, arguments and numbers of systems that cannot be: refused by name, before anything is compiled."""

import pytest

from nmmo_jax import Argument, Column, Config, Head, Leaf, Listing, Rule, System, Table


@pytest.mark.parametrize(("parts", "told"), [
    ({"observe": [Listing("l", "t", 2, ["x"])]}, "observation l: table='t': no such table"),
    ({"observe": [Listing("l", "no.t", 2, ["x"])]}, "observation l: table='no.t': no such table"),
    ({"observe": [Listing("l", "agents", 2, ["x"])]}, "observation l: columns: 'x': agents has col, row"),
    ({"observe": [Listing("l", "t", 2, ["x"])], "tables": [Table("t", 2, [Column("x")])]}, "must have the columns row"),
    ({"heads": [Head("h", [Argument("h", among="bag")])]}, "argument h: among='bag': allowed are '', 'visible', "),
    ({"observe": [Listing("l", "agents", 2, ["row"]), Leaf("l", print)]}, "systems: observe: l is there twice"),
    ({"tiles": [Column("x", inherited=True)]}, "column x: newborn, inherited, each, booked: are for agents alone"),
    ({"tiles": [Column("x", booked=True)]}, "column x: newborn, inherited, each, booked: are for agents alone"),
    ({"tables": [Table("t", 2, [Column("x", newborn=1)])]}, "column x: newborn, inherited, each, booked: are for"),
])  # fmt: skip
def test_lists_and_choices_that_cannot_be(parts, told):
    with pytest.raises(ValueError) as error:
        Config(systems=[System("a", **parts)])
    assert told in str(error.value)


@pytest.mark.parametrize(("make", "told"), [
    (lambda: Listing("l", "t", 0, ["x"]), "observation l: most=0: allowed"),
    (lambda: Listing("l", "t", 2, []), "observation l: columns=(): must be one or more"),
    (lambda: Listing("l", "t", 2, "x"), "observation l: columns='x': must be several str"),
    (lambda: Listing("l", "t", 2, ["x"], rows=3), "observation l: rows: 3: must be a function"),
    (lambda: Column("x", category=True), "column x: category=True: -32768 to 32767 must be at most 256 kinds"),
    (lambda: Leaf("x", print, category=True), "observation x: category=True: 0 to 32767 must be at most"),
    (lambda: System("a", observe=[3]), "system a: observe: 3: must be of type Leaf or Listing"),
    (lambda: Leaf("x", print, low=5, high=1), "observation x: high=1: allowed are whole numbers from 5"),
    (lambda: Leaf("x", print, shape=3), "observation x: shape=3: must be several int or str"),
    (lambda: Column("x", low=5, high=1), "column x: low=5: must be at most high=1"),
    (lambda: Column("x", "uint16", low=40_000, high=40_010, empty=40_000, category=True), "kinds of 16 bits"),
    (lambda: Listing("l", 3, 2, ["x"]), "observation l: table=3: must be the name of a table"),
    (lambda: Table("agents", 2, [Column("x")]), "table: name='agents': must be another"),
    (lambda: Head("h!", [Argument("a", 2)]), "head: name='h!': must be a word"),
    (lambda: Argument("a", 2, mask=5), "argument a: mask: 5: must be a function"),
    (lambda: System("a", heads=[Head("h", [Argument("b", 3, mask_shape=(2, 3))])]), "argument b: size=3, nothing=0"),
    (lambda: System("a", heads=[Head("h", [Argument("b", 3, among="window")])]), "argument b: size=3, nothing=0"),
    (lambda: Rule("x", 3, low=3, high=3), "rule x: low=3, high=3: must differ"),
    (lambda: Rule("x", 3, high=2**40), "rule x: high=1099511627776: allowed are whole numbers from 0 to"),
    (lambda: Rule("x", 3, dtype="float32", high=float("inf")), "rule x: high=inf: allowed are numbers from 0 to"),
    (lambda: Rule("x", 3, dtype="int8"), "rule x: dtype='int8': allowed are 'int32', "),
])  # fmt: skip
def test_declarations_that_cannot_be(make, told):
    with pytest.raises(ValueError) as error:
        make()
    assert told in str(error.value)
