"""Sends the lines of a text file with the official Python SDK: send.py ENDPOINTS TOPIC FILE."""
import sys

from rocketmq import ClientConfiguration, Credentials, Message, Producer

endpoints, topic, path = sys.argv[1:]
producer = Producer(ClientConfiguration(endpoints, Credentials()), (topic,))
producer.startup()
for number, line in enumerate(filter(str.strip, open(path, encoding="utf-8")), 1):
    message = Message()
    message.topic, message.body = topic, line.rstrip("\n").encode()
    message.add_property("line", str(number))
    print(f"sent {number:2}: {producer.send(message).message_id}", flush=True)
producer.shutdown()
