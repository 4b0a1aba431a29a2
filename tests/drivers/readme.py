"""The README's queries through the client gql: every one must be answered without an error."""
import re
import sys

from gql import Client, gql
from gql.transport.requests import RequestsHTTPTransport

readme, url, key = sys.argv[1:4]
queries = re.findall(r"mb query '(\{.*?\})'", open(readme, encoding="utf-8").read(), re.S)
transport = RequestsHTTPTransport(url=url, headers={"Authorization": f"Bearer {key}"})
with Client(transport=transport, fetch_schema_from_transport=True) as client:
    for query in queries:
        client.execute(gql(query))
print(f"{len(queries)} ok")
