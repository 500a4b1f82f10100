package main

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/word/diag"
)

// clientHelp is what every verb that calls a server says of where it calls and as whom.
const clientHelp = `
It calls the server that HAECHI_ENDPOINT names, else AWS_ENDPOINT_URL, else the
one on this machine, with the credentials that the aws command would use
(AWS_ACCESS_KEY_ID, AWS_PROFILE, ~/.aws/credentials), and else with those that a
server's first start left in its data folder.`

// clientFlags are the flags of everything that calls a server. The function
// that comes back finds the server and the credentials.
func clientFlags(c call, flags *flag.FlagSet) func() (*remote.Client, error) {
	endpoint := endpointFlag(flags)
	data := flags.String("data", "", "the data `folder` whose first-credentials count when there are no others (HAECHI_DATA)")
	return func() (*remote.Client, error) { return findServer(c, *endpoint, *data) }
}

func endpointFlag(flags *flag.FlagSet) *string {
	return flags.String("endpoint", "", "`URL` of the server (HAECHI_ENDPOINT; AWS_ENDPOINT_URL; http://127.0.0.1:8080)")
}

func findServer(c call, endpoint, data string) (*remote.Client, error) {
	config := app.Default(c.env)
	config.Environment(c.env)
	if data != "" {
		config.Data = data
	}
	env := c.env
	if endpoint != "" {
		env = func(name string) string {
			if name == "HAECHI_ENDPOINT" {
				return endpoint
			}
			return c.env(name)
		}
	}
	return remote.Find(env, "http://"+config.Listen, filepath.Join(config.Data, access.FirstFile))
}

// insecureFlag is for calls that hold secrets. The function that comes back
// refuses to make them where others on the way could read them.
func insecureFlag(flags *flag.FlagSet) func(*remote.Client) error {
	insecure := flags.Bool("insecure", false, "send secrets without TLS off this machine, in a network that is trusted")
	return func(client *remote.Client) error {
		if *insecure || client.Private() {
			return nil
		}
		return usagef("secrets would go to %s in clear: give an https:// address, or -insecure in a network that is trusted", client.Endpoint)
	}
}

// formatFlag is -format with its choices, the first of which is the default.
func formatFlag(flags *flag.FlagSet, choices ...string) func() (string, error) {
	format := flags.String("format", choices[0], strings.Join(choices, ", "))
	return func() (string, error) {
		if !slices.Contains(choices, *format) {
			return "", usagef("-format is %s, not %q", strings.Join(choices, " or "), *format)
		}
		return *format, nil
	}
}

// only refuses flags that say nothing to what is done.
func only(flags *flag.FlagSet, what string, names ...string) (err error) {
	flags.Visit(func(f *flag.Flag) {
		if err == nil && !slices.Contains(names, f.Name) && f.Name != "endpoint" && f.Name != "data" {
			err = usagef("-%s says nothing to %q", f.Name, what)
		}
	})
	return err
}

// unknown is a first argument that is none of what there is.
func unknown(got string, there ...string) error {
	hint := diag.DidYouMean(got, there)
	if hint == "" {
		hint = "there is " + strings.Join(there, ", ")
	}
	return usagef("%q is unknown; %s", got, hint)
}

// meant is what got was most likely meant to be, as the end of a sentence, or nothing.
func meant(got string, there []string) string {
	if hint := diag.DidYouMean(got, there); hint != "" {
		return "; " + hint
	}
	return ""
}

// writeJSON writes v for programs, indented.
func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
