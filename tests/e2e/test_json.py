# SPDX-License-Identifier: Apache-2.0
"""JSON as `holdfast call` reads and writes it, against python's protobuf: random messages both ways."""
import base64
import json
import math
import random
import struct
import subprocess

import pytest
from google.protobuf import json_format

import schema
from server import BIN_DIR
from shop_server import compile_protos

TRANSCODER = BIN_DIR.parent / "tests/unit/transcoder"
KINDS = BIN_DIR.parent / "tests/unit/cli/kinds.protoset"
EVERYTHING = "kinds.Everything"
TYPES = [
    EVERYTHING,
    "holdfast.v1.AcquireRequest",
    "holdfast.v1.HoldRequest",
    "holdfast.v1.HoldEvent",
    "holdfast.v1.ListLocksResponse",
    "grpc.health.v1.HealthListResponse",
]
ROUNDS = 300


def message_class(name):
    if name == EVERYTHING:
        return schema.Schema(schema.read(KINDS)).message(name)
    return schema.built().message(name)


class Transcoder:
    def __init__(self, *sets):
        self.popen = subprocess.Popen(
            [TRANSCODER, *sets], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, *words):
        self.popen.stdin.write(" ".join(words) + "\n")
        self.popen.stdin.flush()
        return self.popen.stdout.readline().rstrip("\n")

    def json(self, name, message):
        return self.ask("json", name, base64.b64encode(message.SerializeToString()).decode())

    def proto(self, name, text):
        return self.ask("proto", name, text)

    def close(self):
        self.popen.stdin.close()
        assert self.popen.wait(10) == 0


@pytest.fixture(params=["built in", "described"])
def transcoder(request):
    """With types that protobuf-c has generated, and with the same ones made of a description."""
    transcoder = Transcoder(*([KINDS, schema.PROTOSET] if request.param == "described" else []))
    yield transcoder
    transcoder.close()


# Random messages


def text(dice):
    letters = 'ab "\\/{}[]:,\'\n\t\x01\x7fé€\u2028🔒'
    return "".join(dice.choice(letters) for _ in range(dice.choice([0, 1, 1, 5, 30])))


def integer(bits, signed):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return lambda dice: dice.choice([low, high, 0, 1, dice.randint(low, high), dice.randint(max(low, -9), 9)])


def real(dice):
    """Not -0.0, which protobuf-c takes for a field that is not set."""
    return dice.choice([0.0, 0.1, 1e300, -2.5e-300, math.inf, -math.inf, math.nan, dice.uniform(-9, 9), 7.0])


def single(dice):
    """A number that 32 bits can hold."""
    value = dice.choice([0.0, 0.1, 3e38, 1e-45, math.inf, -math.inf, math.nan, dice.uniform(-9, 9), 16777217.0])
    return struct.unpack("f", struct.pack("f", value))[0]


def value_of(field, dice, depth):
    kinds = field.__class__
    if field.type == kinds.TYPE_ENUM:
        return dice.choice([*(value.number for value in field.enum_type.values), 4711, -1])
    makers = {
        kinds.TYPE_STRING: text,
        kinds.TYPE_BYTES: lambda dice: dice.randbytes(dice.choice([0, 1, 2, 3, 40])),
        kinds.TYPE_BOOL: lambda dice: dice.random() < 0.5,
        kinds.TYPE_DOUBLE: real,
        kinds.TYPE_FLOAT: single,
    }
    for bits in (32, 64):
        for prefix, signed in (("INT", True), ("SINT", True), ("SFIXED", True), ("UINT", False), ("FIXED", False)):
            makers[getattr(kinds, f"TYPE_{prefix}{bits}")] = integer(bits, signed)
    return makers[field.type](dice)


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def fill_map(message, field, dice, depth):
    key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
    target = getattr(message, field.name)
    for _ in range(dice.choice([1, 2])):
        chosen = value_of(key, dice, depth)
        if value.message_type is not None:
            fill(target[chosen], dice, depth - 1)
        else:
            target[chosen] = value_of(value, dice, depth)


def fill_field(message, field, dice, depth):
    if is_map(field):
        fill_map(message, field, dice, depth)
    elif field.label == field.LABEL_REPEATED:
        target = getattr(message, field.name)
        for _ in range(dice.choice([1, 2, 3])):
            if field.message_type is not None:
                fill(target.add(), dice, depth - 1)
            else:
                target.append(value_of(field, dice, depth))
    elif field.message_type is not None:
        child = getattr(message, field.name)
        child.SetInParent()
        fill(child, dice, depth - 1)
    else:
        setattr(message, field.name, value_of(field, dice, depth))


def fill(message, dice, depth=3):
    for field in message.DESCRIPTOR.fields:
        share = 0.3 if field.message_type is None else 0.15 * depth / 3
        if depth > 0 and dice.random() < share:
            fill_field(message, field, dice, depth)
    return message


def same(one, two):
    """NaN is like NaN here."""
    return one.SerializeToString(deterministic=True) == two.SerializeToString(deterministic=True)


def names_of(value):
    """The objects' members, all levels, without the numbers."""
    if isinstance(value, dict):
        return {name: names_of(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [names_of(inner) for inner in value]
    return value if isinstance(value, (str, bool)) else None


@pytest.mark.parametrize("name", TYPES)
def test_messages_become_json(transcoder, name):
    kind = message_class(name)
    dice = random.Random(f"out {name}")
    for _ in range(ROUNDS):
        message = fill(kind(), dice)
        ours = transcoder.json(name, message)
        assert same(json_format.Parse(ours, kind()), message), ours
        theirs = json_format.MessageToJson(message)
        assert names_of(json.loads(ours)) == names_of(json.loads(theirs)), ours


@pytest.mark.parametrize("name", TYPES)
def test_json_becomes_messages(transcoder, name):
    kind = message_class(name)
    dice = random.Random(f"in {name}")
    for _ in range(ROUNDS):
        message = fill(kind(), dice)
        theirs = json_format.MessageToDict(
            message,
            preserving_proto_field_name=dice.random() < 0.5,
            including_default_value_fields=dice.random() < 0.3,
            use_integers_for_enums=dice.random() < 0.3,
        )
        line = json.dumps(theirs, ensure_ascii=dice.random() < 0.5)
        ours = transcoder.proto(name, line)
        assert not ours.startswith("!"), f"{ours} for {line}"
        assert same(kind.FromString(base64.b64decode(ours)), message), line


ACCEPTED = [
    "{}",
    '{"text": null, "childList": null, "left": null, "number": 0}',
    '{"int32Field": "12", "uint64Field": 13, "int64Field": -14}',
    '{"int32Field": 1e3, "uint32Field": 5.0}',
    '{"uint64Field": "18446744073709551615", "int64Field": "-9223372036854775808"}',
    '{"floatField": "1.5", "doubleField": "-Infinity"}',
    '{"doubleField": 3, "floatField": "NaN"}',
    '{"blob": "-_8="}',
    '{"blob": "+/8="}',
    '{"blob": "-_8"}',
    '{"colourField": "COLOUR_RED", "colourList": [1, "COLOUR_DARK", 99]}',
    '{"boolMap": {"true": 1, "false": "NaN"}, "childMap": {"-5": {}}, "int32_map": {"7": "AA=="}}',
    '{"maybeNumber": 0, "maybeText": "", "maybeChild": {}, "maybeBool": false, "maybeBlob": ""}',
    '{"a1B2C3": "x"}',
    '{"a1_b2__c3": "x"}',
    '{"text": "\\ud83d\\udd12 \\u00e9"}',
]

REFUSED = [
    '{"nothing": 1}',
    '{"child": {"childList": [{}, {"nothing": 1}]}}',
    '{"int32Field": 2147483648}',
    '{"int32Field": -2147483649}',
    '{"uint32Field": 4294967296}',
    '{"int64Field": 1e19}',
    '{"colourField": 2147483648}',
    '{"int32Field": 1.5}',
    '{"int32Field": "1.5"}',
    '{"int32Field": "x"}',
    '{"int32Field": ""}',
    '{"int32Field": true}',
    '{"uint32Field": -1}',
    '{"uint64Field": "-1"}',
    '{"uint64Field": "18446744073709551616"}',
    '{"int64Field": "9223372036854775808"}',
    '{"boolField": "true"}',
    '{"boolField": 1}',
    '{"text": 1}',
    '{"text": ["a"]}',
    '{"colourField": "COLOUR_BLUE"}',
    '{"floatField": 1e39}',
    '{"floatField": "x"}',
    '{"doubleField": []}',
    '{"child": "x"}',
    '{"textList": "x"}',
    '{"textList": [null]}',
    '{"textMap": []}',
    '{"textMap": {"a": null}}',
    '{"int32Map": {"x": ""}}',
    '{"boolMap": {"yes": 1}}',
    '{"left": "a", "number": 1}',
    '{"text": "a", "text": "b"}',
    '{"text": "\\ud83d"}',
    '"x"',
    "{",
    "{'text': 1}",
]

# Where python is more forgiving than the rules are, or forgets to look.
REFUSED_BY_US = [
    '{"blob": "$$$$"}',
    '{"child": []}',
    '{"int32Field": 1, "int32_field": 1}',
    "[]",
    "null",
]


@pytest.mark.parametrize("line", ACCEPTED)
def test_what_both_accept(transcoder, line):
    kind = message_class(EVERYTHING)
    ours = transcoder.proto(EVERYTHING, line)
    assert not ours.startswith("!"), ours
    assert same(kind.FromString(base64.b64decode(ours)), json_format.Parse(line, kind()))


@pytest.mark.parametrize("line", REFUSED)
def test_what_both_refuse(transcoder, line):
    with pytest.raises((json_format.ParseError, ValueError)):
        json_format.Parse(line, message_class(EVERYTHING)())
    assert transcoder.proto(EVERYTHING, line).startswith("! ")


@pytest.mark.parametrize("line", REFUSED_BY_US)
def test_what_we_refuse(transcoder, line):
    assert transcoder.proto(EVERYTHING, line).startswith("! ")


def test_a_refusal_names_the_field(transcoder):
    line = '{"child": {"child_list": [{}, {"colourField": "BLUE"}]}}'
    assert transcoder.proto(EVERYTHING, line) == '! child.child_list[1].colourField: "BLUE" is no Colour'
    line = '{"childMap": {"7": {"nothing": 1}}}'
    assert transcoder.proto(EVERYTHING, line) == "! childMap.7.nothing: no such field in kinds.Everything"


def test_a_text_that_is_none_is_named(transcoder):
    bad = base64.b64encode(b"\x8a\x01\x03\x7a\x01\xff").decode()  # child.text
    assert transcoder.ask("json", EVERYTHING, bad) == "! child.text: not valid UTF-8"


# Types with a form of their own


@pytest.fixture
def visits(directory):
    """(transcoder, class) of shop.v1.Visit."""
    files = list(compile_protos(directory))
    transcoder = Transcoder(directory / "shop.protoset")
    yield transcoder, schema.Schema(files).message("shop.v1.Visit")
    transcoder.close()


def time_of(dice, first, last):
    seconds = dice.choice([first, last, 0, -1, 1, dice.randint(first, last), 951782400, 1709164800])
    return seconds, dice.choice([0, 1, 999999999, 500000000, 21000000, 123456000, dice.randrange(1000000000)])


def any_value(dice, depth=3):
    kinds = [None, True, False, 0.0, -1.5, 1e300, 7.0, text(dice)]
    if depth > 0:
        kinds += [[any_value(dice, depth - 1) for _ in range(2)], {text(dice): any_value(dice, depth - 1)}, [], {}]
    return dice.choice(kinds)


def set_value(value, wanted):
    """Sets a google.protobuf.Value."""
    if wanted is None:
        value.null_value = 0
    elif isinstance(wanted, bool):
        value.bool_value = wanted
    elif isinstance(wanted, float):
        value.number_value = wanted
    elif isinstance(wanted, str):
        value.string_value = wanted
    elif isinstance(wanted, dict):
        value.struct_value.SetInParent()
        for name, inner in wanted.items():
            set_value(value.struct_value.fields[name], inner)
    else:
        value.list_value.SetInParent()
        for inner in wanted:
            set_value(value.list_value.values.add(), inner)


def random_visit(visit, dice):
    timestamp = lambda: time_of(dice, -62135596800, 253402300799)  # noqa: E731
    visit.at.seconds, visit.at.nanos = timestamp()
    seconds, nanos = time_of(dice, -315576000000, 315576000000)
    visit.lasted.seconds, visit.lasted.nanos = seconds, -nanos if seconds < 0 else nanos
    visit.by_name["x"].nanos = dice.choice([-1, 0, 999999999, -500000000])
    for _ in range(dice.randrange(3)):
        other = visit.others.add()
        other.seconds, other.nanos = timestamp()
    set_value(visit.fact, any_value(dice))
    set_value(visit.facts.fields[text(dice)], any_value(dice))
    set_value(visit.list.values.add(), any_value(dice))
    for field in visit.DESCRIPTOR.fields:
        if field.name.endswith("_value") and dice.random() < 0.7:
            wrapper = getattr(visit, field.name)
            wrapper.SetInParent()
            wrapper.value = value_of(wrapper.DESCRIPTOR.fields[0], dice, 0)
    if dice.random() < 0.5:
        visit.nothing.SetInParent()
    if dice.random() < 0.5:
        visit.text.value = text(dice)
    return visit


@pytest.mark.parametrize("seed", range(ROUNDS // 3))
def test_their_forms_are_pythons(visits, seed):
    transcoder, make = visits
    visit = random_visit(make(), random.Random(seed))
    theirs = json_format.MessageToJson(visit, indent=None)
    ours = transcoder.json("shop.v1.Visit", visit)
    assert same(json_format.Parse(ours, make()), visit), ours
    assert names_of(json.loads(ours)) == names_of(json.loads(theirs)), ours
    back = transcoder.proto("shop.v1.Visit", theirs)
    assert not back.startswith("!"), f"{back} for {theirs}"
    assert same(make.FromString(base64.b64decode(back)), visit), theirs


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": value}
        for value in (
            "", "2000-01-01", "2000-01-01T00:00:00", "2000-1-01T00:00:00Z", "2000-02-30T00:00:00Z", "0000-01-01T00:00:00Z",
            "2000-01-01T24:00:00Z", "2000-01-01T00:00:00.Z", "2000-01-01T00:00:00.1234567890Z", "2000-01-01T00:00:00+1:00",
            "2000-01-01T00:00:00Zz", "9999-12-31T23:59:59-00:01", 7, {},
        )
    ]
    + [{"lasted": value} for value in ("", "1", "s", ".5s", "1.s", "--1s", "+1s", "315576000001s", "1s ", 1, {})]
    + [{"int32Value": value} for value in ("x", 1 << 31, {}, {"value": 1})]
    + [{"facts": 1}, {"list": {}}, {"nothing": 1}],
    ids=json.dumps,
)
def test_what_has_not_their_form(visits, wrong):
    transcoder, _ = visits
    assert transcoder.proto("shop.v1.Visit", json.dumps(wrong)).startswith(f"! {next(iter(wrong))}: ")


@pytest.mark.parametrize("zone, seconds", [("Z", 0), ("+01:30", -5400), ("-23:59", 86340)])
def test_times_of_other_zones(visits, zone, seconds):
    transcoder, make = visits
    visit = make.FromString(base64.b64decode(transcoder.proto("shop.v1.Visit", f'{{"at": "1970-01-01T00:00:00{zone}"}}')))
    assert visit.at.seconds == seconds


@pytest.mark.parametrize(
    "fields", [{"at": (253402300800, 0)}, {"at": (0, -1)}, {"at": (0, 1000000000)}, {"lasted": (1, -1)}, {"lasted": (1 << 62, 0)}]
)
def test_times_that_are_none(visits, fields):
    transcoder, make = visits
    visit = make()
    for name, (seconds, nanos) in fields.items():
        getattr(visit, name).seconds, getattr(visit, name).nanos = seconds, nanos
        assert transcoder.json("shop.v1.Visit", visit).startswith(f"! {name}: out of the range of google.protobuf.")
