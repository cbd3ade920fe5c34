module wasmd.dev/tests/guests/go_hello

go 1.21
