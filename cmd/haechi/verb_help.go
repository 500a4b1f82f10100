package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

func helpVerb() verb {
	return verb{name: "help", args: "[VERB]", summary: "what there is, and how it is used", run: func(ctx context.Context, c call, flags *flag.FlagSet) error {
		rest, err := parse(c, flags, 0, 1)
		if err != nil {
			return err
		}
		if len(rest) == 0 {
			overview(c.stdout)
			return nil
		}
		i := slices.IndexFunc(verbs(), func(v verb) bool { return v.name == rest[0] })
		if i < 0 {
			return usagef("there is no %q%s", rest[0], meant(rest[0], names()))
		}
		v := verbs()[i]
		v.define(ctx, c.env, flags)
		v.usage(c.stdout, flags)
		return nil
	}}
}

// define defines the flags of v: its run does, and stops at -help.
func (v verb) define(ctx context.Context, env func(string) string, flags *flag.FlagSet) {
	_ = v.run(ctx, call{args: []string{"-help"}, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, env: env}, flags)
}

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

// Version is what this program is: a release, or the commit it was built from.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (text == "" || text == "(devel)") {
			text = "commit " + s.Value[:min(12, len(s.Value))]
		}
	}
	return text
}

func versionVerb() verb {
	return verb{name: "version", summary: "which Haechi this is", run: func(_ context.Context, c call, flags *flag.FlagSet) error {
		if _, err := parse(c, flags, 0, 0); err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "haechi %s %s/%s %s\n", versionText(), runtime.GOOS, runtime.GOARCH, runtime.Version())
		return nil
	}}
}
