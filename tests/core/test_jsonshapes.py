import pytest

from orlop.errors import Malformed
from orlop.jsonrules import loads
from orlop.jsonrules.shapes import Boolean, Command, Integer, List, Map, Struct, Text, Time

INNER = Struct("image.History", {"created": Time(), "by": Text(), "empty": Boolean()})
SHAPE = Struct(
    "image.Image",
    {
        "os": Text(),
        "Size": Integer(),
        "rootfs": Struct("image.RootFS", {"diff_ids": List(Text("layer.DiffID"))}),
        "history": List(INNER),
        "Cmd": Command(),
        "Labels": Map(Text()),
        "Ports": Map(Struct("struct {}", {}), "nat.PortSet"),
    },
)


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"{}",
        b'{"os":null,"Size":null,"rootfs":null,"history":null,"Cmd":null,"Labels":null}',
        b'{"os":"linux","OS":"linux","Size":-9223372036854775808}',
        b'{"rootfs":{"diff_ids":["a",null]},"history":[{"created":"2020-01-01T00:00:00Z","empty":true},null]}',
        b'{"Cmd":"a"}',
        b'{"Cmd":["a",null]}',
        b'{"Labels":{"a":"b","c":null},"Ports":{"80/tcp":{"anything":5}}}',
        b'{"unknown":[5,{"os":5}],"os2":5}',
    ],
)
def test_a_document_that_the_engine_reads_conforms(data: bytes) -> None:
    SHAPE.conform(loads(data))


UNMARSHAL = "json: cannot unmarshal "


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        (b"[]", "", "array into Go value of type image.Image"),
        (b'"x"', "", "string into Go value of type image.Image"),
        (b'{"os":5}', "os", "number into Go struct field Image.os of type string"),
        (b'{"O\\u017f":5}', "os", "number into Go struct field Image.os of type string"),
        (b'{"os":5,"os":"linux"}', "os", "number into Go struct field Image.os of type string"),
        (b'{"x":1,"Cmd":{},"os":5}', "Cmd", "object into Go struct field Image.Cmd of type string"),
        (b'{"Cmd":["a",5]}', "Cmd", "array into Go struct field Image.Cmd of type string"),
        (b'{"Size":1.5}', "Size", "number 1.5 into Go struct field Image.Size of type int64"),
        (b'{"Size":true}', "Size", "bool into Go struct field Image.Size of type int64"),
        (
            b'{"Size":9223372036854775808}',
            "Size",
            "number 9223372036854775808 into Go struct field Image.Size of type int64",
        ),
        (b'{"rootfs":[]}', "rootfs", "array into Go struct field Image.rootfs of type image.RootFS"),
        (
            b'{"rootfs":{"diff_ids":"x"}}',
            "rootfs.diff_ids",
            "string into Go struct field RootFS.rootfs.diff_ids of type []layer.DiffID",
        ),
        (
            b'{"rootfs":{"diff_ids":["x",5]}}',
            "rootfs.diff_ids[1]",
            "number into Go struct field RootFS.rootfs.diff_ids of type layer.DiffID",
        ),
        (b'{"history":[{},"x"]}', "history[1]", "string into Go struct field Image.history of type image.History"),
        (
            b'{"history":[{},{"empty":"x"}]}',
            "history[1].empty",
            "string into Go struct field History.history.empty of type bool",
        ),
        (b'{"Labels":{"a":5}}', "Labels['a']", "number into Go struct field Image.Labels of type string"),
        (b'{"Labels":[]}', "Labels", "array into Go struct field Image.Labels of type map[string]string"),
        (b'{"Ports":[]}', "Ports", "array into Go struct field Image.Ports of type nat.PortSet"),
        (b'{"Ports":{"80":5}}', "Ports['80']", "number into Go struct field Image.Ports of type struct {}"),
    ],
)
def test_the_first_fault_is_named_with_the_words_of_the_engine(data: bytes, field: str, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        SHAPE.conform(loads(data))
    assert caught.value.field == field
    assert caught.value.engine == UNMARSHAL + words


@pytest.mark.parametrize(
    ("created", "words"),
    [
        (b'"yesterday"', 'parsing time "yesterday"'),
        (b'"2020-02-30T00:00:00Z"', 'parsing time "2020-02-30T00:00:00Z": day out of range'),
        (b"5", "Time.UnmarshalJSON: input is not a JSON string"),
    ],
)
def test_a_time_inside_is_checked_too(created: bytes, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        SHAPE.conform(loads(b'{"history":[{"created":' + created + b"}]}"))
    assert caught.value.field == "history[0].created"
    assert caught.value.engine.startswith(words)
