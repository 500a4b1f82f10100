package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/word/fault"
	"go.yaml.in/yaml/v4"
)

func configVerb() verb {
	return verb{name: "config", args: "show | check DIR | apply DIR", summary: "what a server is told, and routes as files", help: `
  haechi config show                       what 'haechi serve' would be told, from flags, variables and haechi.yaml
  haechi config check routes/              are these files of routes right? (needs no server)
  haechi config check .haechi/gate.yaml    is this gate policy right?
  haechi config apply -dry-run routes/     what would change on the server
  haechi config apply routes/              make it so

DIR is a folder with *.yaml, or one file. What came from files before and is in
none of them any more is deleted; what was made by other means is left alone.
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
		return usagef("%s what? give a folder with *.yaml, or a file", do)
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
		want, files, policies, err := readFiles(rest[0])
		if err != nil {
			return err
		}
		if len(policies) > 0 {
			return usagef("%s is a gate policy: it counts as .haechi/gate.yaml of a repository's default branch, or as gate in haechi.yaml", policies[0])
		}
		in := applyCall{Files: files, Secrets: map[string]string{}, DryRun: *dry}
		for _, r := range want.Receivers {
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
	routeFile struct{ Name, Text string }
	applyCall struct {
		Files   []routeFile
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
	want, files, policies, err := readFiles(name)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		fmt.Fprintf(c.stdout, "fine: %d buses, %d targets, %d routes\n", len(want.Buses), len(want.Receivers), len(want.Rules))
	}
	for _, p := range policies {
		fmt.Fprintf(c.stdout, "fine: %s is a gate policy\n", p)
	}
	return nil
}

// isPolicy tells a gate policy, which says block, from a file of routes.
func isPolicy(text []byte) bool {
	var said map[string]yaml.Node
	if err := yaml.Unmarshal(text, &said); err != nil {
		return false // the reader of routes says what is wrong, and where
	}
	_, ok := said["block"]
	return ok
}

// readFiles reads a file of routes, or those of a folder, in the order of their
// names; gate policies among them are checked, and named apart.
func readFiles(name string) (want route.Desired, files []routeFile, policies []string, err error) {
	names, err := filesIn(name)
	if err != nil {
		return want, nil, nil, err
	}
	var parsed []route.File
	for _, file := range names {
		text, err := os.ReadFile(file)
		if err != nil {
			return want, nil, nil, fault.Invalid.Wrap(err)
		}
		file = filepath.ToSlash(file)
		if isPolicy(text) {
			if _, err := gate.Parse(file, text); err != nil {
				return want, nil, nil, fault.Conflict.Wrap(err)
			}
			policies = append(policies, file)
			continue
		}
		files = append(files, routeFile{file, string(text)})
		parsed = append(parsed, route.File{Name: file, Text: text})
	}
	want, err = route.ParseFiles(parsed...)
	return want, files, policies, fault.Conflict.Wrap(err) // what was shown is wrong, not how one asked
}

// filesIn is a file, or the *.yaml of a folder and all below it.
func filesIn(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	names := []string{name}
	if info.IsDir() {
		names = nil
		err := filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(file)) {
				names = append(names, file)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, fault.Invalid.Errorf("there is no *.yaml in %s; an empty file deletes what came from files before", name)
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
		{"data", config.Data}, {"listen", config.Listen}, {"database", withoutPassword(config.Database)}, {"account", config.Account},
		{"region", config.Region}, {"log", config.Log}, {"insecure-listen", fmt.Sprint(config.Insecure)}, {"tls.cert", config.TLS.Cert},
		{"tls.key", config.TLS.Key}, {"trusted-proxies", strings.Join(proxies, ", ")}, {"hosts", strings.Join(config.Hosts, ", ")}, {"url", config.URL},
		{"outbound.allow", strings.Join(config.Outbound.Allow, ", ")}, {"commands", strings.Join(commands, ", ")}, {"sandbox.allow", config.Sandbox.Allow},
		{"gate", config.Gate}, {"advisory", config.Advisory}, {"retention.events", days(config.Retention.Events)},
		{"retention.deliveries", days(config.Retention.Deliveries)}, {"retention.logs", days(config.Retention.Logs)},
		{"retention.records", days(config.Retention.Records)}, {"retention.record-bytes", fmt.Sprint(config.Retention.RecordBytes)},
	}
}

func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(not an address)"
	}
	return u.Redacted()
}
