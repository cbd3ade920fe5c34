module wasmd.dev/tests/guests/wasi/go

go 1.21
