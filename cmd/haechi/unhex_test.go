package main

import (
	"encoding/hex"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

func unhex(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: unhex FILE")
	}
	content, err := hex.DecodeString(strings.Join(strings.Fields(ts.ReadFile(args[0]+".hex")), ""))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
	ts.Check(os.Remove(ts.MkAbs(args[0] + ".hex")))
}
