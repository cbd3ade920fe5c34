module wasmd.dev/tests/guests/go_tool

go 1.21
