package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/haechi-dev/haechi/app"
	machine "github.com/haechi-dev/haechi/app/runner"
	"github.com/haechi-dev/haechi/room/build"
)

func runnerVerb() verb {
	return verb{name: "runner", summary: "build for a server elsewhere", help: `
  haechi runner -endpoint https://haechi.example.com
  haechi runner -endpoint https://haechi.example.com -workers 4
  haechi runner -config runner.yaml   what builds here may read, reach and run in
  haechi runner -idle                 end when there is nothing to build any more

It asks the server for builds, does them here in walls of this machine's own,
and brings what they made. It only ever calls the server: no port is opened. It
is a principal with an access key and the few permissions that docs/builds.md
lists. The server hashes artifacts itself, and gives a build to another runner
when this one gives no sign of life. -config takes a haechi.yaml, of which
builds, sandbox and outbound count.
` + clientHelp, run: doRunner}
}

func doRunner(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	kind := flags.String("type", build.Kind, "what to do, category/owner/provider/version; there is this one")
	workers := flags.Int("workers", 1, "builds at once, 1 to 64")
	folder := flags.String("folder", "", "where builds lie while they are at work (a folder of the user's cache)")
	file := flags.String("config", "", "a haechi.yaml: builds, sandbox and outbound count")
	idle := flags.Bool("idle", false, "end when there is nothing to build any more")
	private := insecureFlag(flags)
	if _, err := parse(c, flags, 0, 0); err != nil {
		return err
	}
	switch {
	case *kind != build.Kind:
		return usagef("-type is %s: a runner does no other jobs", build.Kind)
	case *workers < 1 || *workers > 64:
		return usagef("-workers is 1 to 64, not %d", *workers)
	}
	config := app.Default(c.env)
	config.Environment(c.env)
	if *file != "" {
		if err := config.ReadConfig(*file); err != nil {
			return err
		}
	}
	if err := config.Check(); err != nil {
		return err
	}
	client, err := find()
	if err != nil {
		return err
	}
	if err := private(client); err != nil {
		return err
	}
	if *folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return usagef("-folder says where builds lie while they are at work: this user has no folder for such (%v)", err)
		}
		*folder = filepath.Join(cache, "haechi", "runner")
	}
	log, err := config.NewLog(c.stderr)
	if err != nil {
		return err
	}
	r, err := machine.Open(&config, client, *folder, log)
	if err != nil {
		return err
	}
	r.Workers, r.Idle = *workers, *idle
	fmt.Fprintf(c.stderr, "haechi: asking %s for builds, %d at once\n", client.Endpoint, *workers)
	return r.Run(ctx)
}
