"""pika and the CloudEvents SDK on the relay: a quorum queue with a dead-letter exchange; every message
is parsed, one is rejected and found among the dead letters, the others are acknowledged."""
import sys

import pika
from cloudevents.http import from_http

url, wanted = sys.argv[1], int(sys.argv[2])
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.exchange_declare("minutebook", "topic", durable=True)
channel.exchange_declare("minutebook.dead", "fanout", durable=True)
channel.queue_declare("dead", durable=True, arguments={"x-queue-type": "quorum"})
channel.queue_bind("dead", "minutebook.dead")
channel.queue_declare("tasks", durable=True, arguments={"x-queue-type": "quorum", "x-dead-letter-exchange": "minutebook.dead"})
channel.queue_bind("tasks", "minutebook", routing_key="*.tasks.*")
print("bound", flush=True)

seen, rejected = {}, None
for method, properties, body in channel.consume("tasks", inactivity_timeout=40):
    if method is None:
        sys.exit(f"only {len(seen)} of {wanted} messages came")
    event = from_http({"content-type": properties.content_type}, body)
    assert event["id"] == properties.message_id and event["type"].startswith("minutebook.tasks."), event
    assert method.routing_key == f'{event["mbbusiness"]}.{event["type"].removeprefix("minutebook.").rsplit(".", 1)[0]}', method.routing_key
    if rejected is None:
        rejected = event["id"]
        channel.basic_reject(method.delivery_tag, requeue=False)
    else:
        channel.basic_ack(method.delivery_tag)
    seen[event["id"]] = int(event["mbseq"])
    if len(seen) == wanted:
        break
channel.cancel()
assert list(seen.values()) == sorted(seen.values()), seen
for method, properties, body in channel.consume("dead", inactivity_timeout=20):
    assert method is not None and properties.message_id == rejected, properties
    channel.basic_ack(method.delivery_tag)
    break
print(f"{len(seen)} events, one of them dead-lettered")
connection.close()
