// Command mkimage makes a container image of tars, each a layer, as docker save would write it.
//
//	mkimage OUT.tar "RUN debootstrap=root.tar" "COPY . /opt/app=app.tar"
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: mkimage OUT.tar COMMAND=LAYER.tar…")
		os.Exit(2)
	}
	if err := build(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func build(out string, layers []string) error {
	img := v1.Image(empty.Image)
	made := v1.Time{Time: time.Unix(1_700_000_000, 0)}
	for _, arg := range layers {
		i := strings.LastIndexByte(arg, '=')
		if i < 0 {
			return fmt.Errorf("%q names no tar", arg)
		}
		layer, err := tarball.LayerFromFile(arg[i+1:])
		if err != nil {
			return err
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: arg[:i], Created: made}})
		if err != nil {
			return err
		}
	}
	img, err := mutate.Config(img, v1.Config{Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, Cmd: []string{"/opt/app/haechi"}})
	if err != nil {
		return err
	}
	tag, err := name.NewTag("bench.example/debian-node-python:1")
	if err != nil {
		return err
	}
	return tarball.WriteToFile(out, tag, img)
}
