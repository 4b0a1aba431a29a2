"""Python's kurrentdbclient on the business door and on generic streams.

    kurrentdb_client.py door URI WRONG_URI STREAM COUNT   then, on standard input, a line when one event more is there
    kurrentdb_client.py streams URI
"""
import json
import sys
import uuid

import grpc
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.exceptions import GrpcError, KurrentDBClientError, NotFoundError, StreamIsDeletedError, WrongCurrentVersionError


def refused(expected, action):
    try:
        action()
    except expected as e:
        return e
    raise AssertionError(f"not refused: {action}")


def door(uri, wrong, stream, count):
    client = KurrentDBClient(uri)
    events = client.get_stream(stream)
    assert len(events) == count, len(events)
    for event in events:
        told = json.loads(event.data)
        assert told["id"] == str(event.id) and told["specversion"] == "1.0" and told["type"] == event.type, told
        assert event.content_type == "application/json" and "$correlationId" in json.loads(event.metadata)
        assert event.recorded_at.year >= 2026
    backwards = client.get_stream(stream, backwards=True, limit=3)
    assert [e.id for e in backwards] == [e.id for e in reversed(events)][:3]
    middle = events[count // 2]
    assert [e.id for e in client.get_stream(stream, stream_position=middle.stream_position)] == [e.id for e in events[count // 2:]]
    # $all has these and those of whatever else the key may see, in the order of positions.
    everything = list(client.read_all())
    assert [e.id for e in everything if e.stream_name == stream] == [e.id for e in events]
    assert [e.commit_position for e in everything] == sorted(e.commit_position for e in everything)
    assert [e.id for e in client.read_all(backwards=True, limit=2)] == [e.id for e in reversed(everything)][:2]
    kinds = {e.type for e in events}
    only = sorted(kinds)[0]
    wanted = [e.id for e in everything if e.type == only]
    assert [e.id for e in client.read_all(filter_include=[only.replace(".", r"\.")])] == wanted
    assert [e.id for e in client.read_all(filter_exclude=[k.replace(".", r"\.") for k in kinds if k != only])] == wanted
    # Follow, then come back with a place, then live.
    with client.subscribe_to_all(commit_position=middle.commit_position, include_caught_up=True) as following:
        seen = []
        for event in following:
            if type(event).__name__ == "CaughtUp":
                break
            seen.append(event.id)
    assert seen == [e.id for e in everything if e.commit_position > middle.commit_position], "resumed without a gap or a repeat"
    # A filter that lets nothing through still says how far it looked: from there nothing is left out.
    with client.subscribe_to_all(filter_include=["nothing"], include_checkpoints=True, include_caught_up=True, window_size=1, checkpoint_interval_multiplier=1) as following:
        places = []
        for told in following:
            if type(told).__name__ == "CaughtUp":
                break
            places.append(told.commit_position)
    place = places[len(places) // 2]
    rest = [e.id for e in everything if e.commit_position > place]
    assert 0 < len(rest) < len(everything), (place, len(rest), len(everything))
    assert [e.id for e in client.read_all(commit_position=place)][-len(rest):] == rest
    with client.subscribe_to_all(commit_position=place, include_caught_up=True) as following:
        resumed = []
        for event in following:
            if type(event).__name__ == "CaughtUp":
                break
            resumed.append(event.id)
    assert resumed == rest, "resumed from a checkpoint"
    with client.subscribe_to_stream(stream, stream_position=events[-1].stream_position) as following:
        print("following", flush=True)
        sys.stdin.readline()
        assert next(following).stream_position > events[-1].stream_position
    refused(NotFoundError, lambda: client.get_stream("business-" + "0" * 32))
    refused(NotFoundError, lambda: client.get_stream("$$" + stream))
    new = NewEvent(type="x", data=b"{}")
    for attempt in [
        lambda: client.append_to_stream(stream, current_version=StreamState.ANY, events=new),
        lambda: client.delete_stream(stream, current_version=StreamState.ANY),
        lambda: client.tombstone_stream(stream, current_version=StreamState.ANY),
        lambda: client.set_stream_metadata(stream, metadata={"$maxCount": 1}, current_version=StreamState.ANY),
    ]:
        assert "read-only" in str(refused(KurrentDBClientError, attempt))
    # One that nobody holds closes itself, and reads nothing.
    stranger = KurrentDBClient(wrong)
    told = refused(KurrentDBClientError, lambda: list(stranger.read_all(limit=1)))
    assert "API key" in str(told), told
    assert "position" in str(refused(GrpcError, lambda: list(client.read_all(commit_position=10**15))))
    client.close()


def streams(uri):
    client = KurrentDBClient(uri)
    name = f"order-{uuid.uuid4()}"
    events = [NewEvent(type=f"Order{n}", data=json.dumps({"n": n}).encode()) for n in range(3)]
    at = client.append_to_stream(name, current_version=StreamState.NO_STREAM, events=events)
    assert client.append_to_stream(name, current_version=StreamState.NO_STREAM, events=events) == at, "the same again is the same"
    more = NewEvent(type="More", data=b"{}")
    refused(WrongCurrentVersionError, lambda: client.append_to_stream(name, current_version=0, events=more))
    client.append_to_stream(name, current_version=2, events=more)
    assert [e.stream_position for e in client.get_stream(name)] == [0, 1, 2, 3]
    client.set_stream_metadata(name, metadata={"$maxCount": 2, "$acl": {"$r": "$all"}}, current_version=StreamState.NO_STREAM)
    assert client.get_stream_metadata(name)[0] == {"$maxCount": 2, "$acl": {"$r": "$all"}}
    assert [e.stream_position for e in client.get_stream(name)] == [2, 3]
    with client.subscribe_to_all(filter_include=["More"], include_caught_up=True) as following:
        seen = []
        for event in following:
            if type(event).__name__ == "CaughtUp":
                break
            seen.append(event.id)
    assert more.id in seen
    client.delete_stream(name, current_version=3)
    refused(NotFoundError, lambda: client.get_stream(name))
    client.append_to_stream(name, current_version=StreamState.NO_STREAM, events=NewEvent(type="Again", data=b"{}"))
    assert [e.stream_position for e in client.get_stream(name)] == [4]
    client.tombstone_stream(name, current_version=StreamState.ANY)
    refused(StreamIsDeletedError, lambda: client.get_stream(name))
    assert client.list_subscriptions() == []
    client.close()
    malformed(uri)


def malformed(uri):
    """Frames that no client sends: each is refused by itself, and the server goes on."""
    channel = grpc.insecure_channel(uri.split("//")[1].split("?")[0], options=[("grpc.max_send_message_length", -1)])

    def code(method, *frames):
        whole = "/event_store.client.streams.Streams/" + method
        raw = {"request_serializer": bytes, "response_deserializer": bytes}
        try:
            call = channel.stream_stream(whole, **raw)(iter(frames), timeout=30)
            return "OK", len(list(call))
        except grpc.RpcError as e:
            return e.code().name, e.details()

    assert code("Read", b"\xff\xff\xff")[0] == "INTERNAL"
    assert code("Read", b"")[0] == "INVALID_ARGUMENT", "no options"
    assert code("Append", b"")[0] == "INVALID_ARGUMENT"
    assert code("BatchAppend", b"")[0] == "INVALID_ARGUMENT", "no correlation id"
    assert code("Append", b"\x00" * (17 << 20))[0] in ("OUT_OF_RANGE", "RESOURCE_EXHAUSTED")
    assert code("Nothing", b"")[0] == "UNIMPLEMENTED"
    for pattern in ["(", "a" * 70_000]:
        client = KurrentDBClient(uri)
        assert "regular expression" in str(e := refused(KurrentDBClientError, lambda: list(client.read_all(filter_include=[pattern])))) or "bytes" in str(e)
    client = KurrentDBClient(uri)
    assert client.get_commit_position() > 0, "it goes on"


if sys.argv[1] == "door":
    door(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
else:
    streams(sys.argv[2])
print("ok")
