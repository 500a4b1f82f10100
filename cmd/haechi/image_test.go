package main

import (
	"os"
	"testing"

	"github.com/haechi-dev/haechi/tool/scan/image/imagetest"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptTB lets what builds images for tests build them for scripts.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

func (scriptTB) Helper()             {}
func (s scriptTB) Fatal(args ...any) { s.ts.Fatalf("%v", args) }

// buildImage is image FILE NAME [-torn] FOLDER…
func buildImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: image FILE NAME [-torn] FOLDER…")
	}
	t := scriptTB{ts: ts}
	img, folders, torn := imagetest.Image{Name: args[1]}, args[2:], args[2] == "-torn"
	if torn {
		folders = folders[1:]
	}
	for i, folder := range folders {
		layer := imagetest.Layer{By: "COPY " + folder + " /", Raw: imagetest.Tar(t, imagetest.Folder(t, ts.MkAbs(folder))...), Packed: "gzip"}
		if torn && i == len(folders)-1 {
			layer.Raw = layer.Raw[:300]
		}
		img.Layers = append(img.Layers, layer)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), img.Docker(t), 0o600))
}
