"""What every RhythmIQ service needs and no service owns.

Pure rooms (importable from a service's model and use cases): `errors`, `names`, `principal`, `paging`, `etag`,
`idempotency`, `clocks`, `deadline`. Rooms that touch gRPC, protobuf or MongoDB: `interceptors`, `channels`, `server`,
`masks`, `mongo`, `config`.
"""
