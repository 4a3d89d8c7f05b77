# SPDX-License-Identifier: Apache-2.0
"""What a server tells its operators."""
import schema

built = schema.built()


def most_calls(client):
    """How many calls are in flight on the connection of this server that has the most."""
    request = built.message("holdfast.v1.ListConnectionsRequest")()
    answer = built.message("holdfast.v1.ListConnectionsResponse")
    connections = client.start("ListConnections", request, answer, service="holdfast.v1.Admin").result().connections
    return max(connection.calls for connection in connections)
