package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/app"
	service "github.com/haechi-dev/haechi/door/wire/haechi"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/fault"
)

func configVerb() verb {
	return verb{name: "config", args: "show | check DIR | apply DIR", summary: "what a server is told; routes, gates and rules as files", help: `
  haechi config show                       what 'haechi serve' would be told, from flags, variables and haechi.yaml
  haechi config check house/               are these files right? (needs no server)
  haechi config check .haechi/gate.yaml    is this gate policy right?
  haechi config check buildspec.yml        is this buildspec right?
  haechi config check .haechi/pipeline.yaml  and this pipeline?
  haechi config apply -dry-run house/      what would change on the server
  haechi config apply house/               make it so

DIR is a folder with *.yaml and *.txtar, or one file: routes and their targets, the
server's gate policy (block), Sigma detections, and Guard policies. What came
from files before and is in none of them any more is deleted; what was made by
other means is left alone. Rules in txtar must prove themselves by their examples.
Secrets in the files are env:NAME or file:PATH: they are read here, and go to
the server with the files.
` + clientHelp, run: config}
}

func config(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	file := flags.String("config", "", "haechi.yaml (haechi.yaml in the data folder, where there is one)")
	private := insecureFlag(flags)
	dry := flags.Bool("dry-run", false, "tell what would change, and change nothing")
	format := formatFlag(flags, "table", "json")
	rest, err := parse(c, flags, 1, 2)
	if err != nil {
		return err
	}
	shape, err := format()
	if err != nil {
		return err
	}
	do, rest := rest[0], rest[1:]
	if (do == "check" || do == "apply") && len(rest) == 0 {
		return usagef("%s what? give a folder with *.yaml and *.txtar, or a file", do)
	}
	switch do {
	case "show":
		if len(rest) > 0 {
			return usagef("%q is too much", rest[0])
		}
		if err := only(flags, do, "config", "format"); err != nil {
			return err
		}
		return showConfig(c, *file, flags.Lookup("data").Value.String(), shape)
	case "check":
		if err := only(flags, do, "format"); err != nil {
			return err
		}
		return check(c, rest[0])
	case "apply":
		if err := only(flags, do, "dry-run", "format", "insecure"); err != nil {
			return err
		}
		want, files, err := readFiles(rest[0])
		if err != nil {
			return err
		}
		in := applyCall{Files: files, Secrets: map[string]string{}, DryRun: *dry}
		for _, r := range want.Routes.Receivers {
			for name, reference := range r.References {
				secret, err := app.Reveal(reference, c.env)
				if err != nil {
					return fmt.Errorf("target %s/%s: %s: %w", r.Kind, r.Name, name, err)
				}
				in.Secrets[reference] = secret.Reveal()
			}
		}
		client, err := find()
		if err != nil {
			return err
		}
		if len(in.Secrets) > 0 {
			if err := private(client); err != nil {
				return err
			}
		}
		var out applyAnswer
		if err := client.JSON(ctx, "haechi", "Haechi.ApplyConfig", in, &out); err != nil {
			return err
		}
		return showChanges(c, out, *dry, shape)
	}
	return unknown(do, "show", "check", "apply")
}

type (
	applyCall struct {
		Files   []service.File
		Secrets map[string]string
		DryRun  bool
	}
	routeChange struct {
		Do, What, Name string
		Fields         []string `json:"Fields,omitzero"`
	}
	applyAnswer struct{ Changes []routeChange }
)

func showChanges(c call, out applyAnswer, dry bool, shape string) error {
	if shape == "json" {
		return writeJSON(c.stdout, out.Changes)
	}
	for _, one := range out.Changes {
		fmt.Fprintln(c.stdout, route.Change{Do: one.Do, What: one.What, Name: one.Name, Fields: one.Fields})
	}
	switch {
	case len(out.Changes) == 0:
		fmt.Fprintln(c.stderr, "haechi config: nothing to change")
	case dry:
		fmt.Fprintln(c.stderr, "haechi config: nothing was changed; without -dry-run it will be")
	}
	return nil
}

// check tells whether files are right, with nothing but the files.
func check(c call, name string) error {
	if ours, err := checkBuildspec(c, name); ours || err != nil {
		return err
	}
	if ours, err := checkPipeline(c, name); ours || err != nil {
		return err
	}
	want, _, err := readFiles(name)
	if err != nil {
		return err
	}
	if r := want.Routes; len(r.Buses)+len(r.Receivers)+len(r.Rules) > 0 {
		fmt.Fprintf(c.stdout, "fine: %d buses, %d targets, %d routes\n", len(r.Buses), len(r.Receivers), len(r.Rules))
	}
	if want.Policy != nil {
		fmt.Fprintf(c.stdout, "fine: %s is a gate policy\n", want.Gate)
	}
	if n := len(want.Sigma); n > 0 {
		fmt.Fprintf(c.stdout, "fine: %d files of detections\n", n)
	}
	if n := len(want.Policies); n > 0 {
		fmt.Fprintf(c.stdout, "fine: %d policies\n", n)
	}
	return nil
}

// readFiles reads a file, or those of a folder, in the order of their names.
func readFiles(name string) (want app.Files, files []service.File, err error) {
	names, err := filesIn(name)
	if err != nil {
		return want, nil, err
	}
	for _, file := range names {
		text, err := os.ReadFile(file)
		if err != nil {
			return want, nil, fault.Invalid.Wrap(err)
		}
		files = append(files, service.File{Name: filepath.ToSlash(file), Text: string(text)})
	}
	want, err = app.ReadFiles(files...)
	return want, files, fault.Conflict.Wrap(err) // what was shown is wrong, not how one asked
}

// filesIn is a file, or the *.yaml and *.txtar of a folder and all below it.
func filesIn(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	names := []string{name}
	if info.IsDir() {
		names = nil
		err := filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".txtar"}, filepath.Ext(file)) {
				names = append(names, file)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, fault.Invalid.Errorf("there is no *.yaml or *.txtar in %s; an empty file deletes what came from files before", name)
		}
	}
	return names, nil
}

// setting is one line of what a server is told.
type setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func showConfig(c call, file, data, shape string) error {
	var set []string
	for name, value := range map[string]string{"-config": file, "-data": data} {
		if value != "" {
			set = append(set, name, value)
		}
	}
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	read := serverFlags(c, flags)
	if err := flags.Parse(set); err != nil {
		return err
	}
	config, err := read()
	if err != nil {
		return err
	}
	if err := config.Check(); err != nil {
		return err
	}
	all := settings(config)
	if shape == "json" {
		return writeJSON(c.stdout, all)
	}
	for _, s := range all {
		fmt.Fprintf(c.stdout, "%-24s %s\n", s.Name, s.Value)
	}
	return nil
}

// settings are what a configuration says. Secrets in it are references; a
// password in the database's address is left out.
func settings(config app.Config) []setting {
	days := func(d time.Duration) string { return fmt.Sprintf("%gd", d.Hours()/24) }
	var proxies, commands []string
	for _, p := range config.Proxies {
		proxies = append(proxies, p.String())
	}
	for name := range config.Commands {
		commands = append(commands, name)
	}
	slices.Sort(commands)
	return []setting{
		{"data", config.Data}, {"listen", config.Listen}, {"database", withoutPassword(config.Database)}, {"blobs", withoutPassword(config.Blobs)}, {"account", config.Account},
		{"region", config.Region}, {"log", config.Log}, {"insecure-listen", fmt.Sprint(config.Insecure)}, {"tls.cert", config.TLS.Cert},
		{"tls.key", config.TLS.Key}, {"trusted-proxies", strings.Join(proxies, ", ")}, {"hosts", strings.Join(config.Hosts, ", ")}, {"url", config.URL},
		{"sign-in", strings.Join(config.Logins(), ", ")}, {"provider-keys", strings.Join(slices.Sorted(maps.Keys(config.Keys)), ", ")}, {"outbound.allow", strings.Join(config.Outbound.Allow, ", ")}, {"commands", strings.Join(commands, ", ")}, {"sandbox.allow", config.Sandbox.Allow},
		{"buckets.object", fmt.Sprint(config.Buckets.Object)}, {"buckets.bytes", fmt.Sprint(config.Buckets.Bytes)}, {"gate", config.Gate}, {"advisory", config.Advisory}, {"retention.events", days(config.Retention.Events)},
		{"retention.deliveries", days(config.Retention.Deliveries)}, {"retention.logs", days(config.Retention.Logs)},
		{"retention.records", days(config.Retention.Records)}, {"retention.record-bytes", fmt.Sprint(config.Retention.RecordBytes)},
		{"retention.audit", days(config.Retention.Audit)}, {"retention.audit-bytes", fmt.Sprint(config.Retention.AuditBytes)},
	}
}

func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(not an address)"
	}
	return u.Redacted()
}
