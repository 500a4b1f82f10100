package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/keeper/access"
)

// serverFlags are the flags of everything that opens an installation. The
// function that comes back reads configuration, variables and flags, in this order.
func serverFlags(c call, flags *flag.FlagSet) func() (app.Config, error) {
	config := app.Default(c.env)
	var given app.Config
	flags.StringVar(&given.Data, "data", "", "the folder of all state (HAECHI_DATA; "+config.Data+")")
	flags.StringVar(&given.Database, "database", "", "sqlite:FILE or postgres://… (HAECHI_DATABASE; sqlite in the data folder)")
	flags.StringVar(&given.Account, "account", "", "the account of findings, 12 digits (HAECHI_ACCOUNT; "+config.Account+")")
	flags.StringVar(&given.Region, "region", "", "the region of findings (HAECHI_REGION; "+config.Region+")")
	flags.StringVar(&given.Log, "log", "", "debug, info, warn or error (HAECHI_LOG; info)")
	file := flags.String("config", "", "haechi.yaml (haechi.yaml in the data folder, where there is one)")
	return func() (app.Config, error) {
		config.Environment(c.env)
		data := config.Data
		if given.Data != "" {
			data = given.Data
		}
		name := *file
		if name == "" {
			if found, _ := filepath.Glob(filepath.Join(data, "haechi.yaml")); len(found) == 1 {
				name = found[0]
			}
		}
		if name != "" {
			config = app.Default(c.env)
			if err := config.ReadConfig(name); err != nil {
				return config, err
			}
			config.Environment(c.env)
		}
		for field, value := range map[*string]string{&config.Data: given.Data, &config.Database: given.Database, &config.Account: given.Account, &config.Region: given.Region, &config.Log: given.Log} {
			if value != "" {
				*field = value
			}
		}
		return config, nil
	}
}

func serveVerb() verb {
	return verb{name: "serve", summary: "run the server", help: `
  haechi serve                       on http://127.0.0.1:8080, state in the data folder
  haechi serve -listen :0            on a free port
  haechi serve -config haechi.yaml   TLS, trusted proxies, commands, retention

The first start makes a user "admin" and writes its access key and its console
password to first-credentials in the data folder, for your eyes only; the file
goes once both were used. Flags win over HAECHI_* variables, and these over haechi.yaml.`, run: serve}
}

func serve(ctx context.Context, c call, flags *flag.FlagSet) error {
	read := serverFlags(c, flags)
	listen := flags.String("listen", "", "address to listen on (HAECHI_LISTEN; 127.0.0.1:8080)")
	insecure := flags.Bool("insecure-listen", false, "listen off loopback without TLS")
	admin := flags.String("admin-credentials", "", "a file with the first administrator's credentials, instead of new ones")
	if _, err := parse(c, flags, 0, 0); err != nil {
		return err
	}
	config, err := read()
	if err != nil {
		return err
	}
	if *listen != "" {
		config.Listen = *listen
	}
	config.Insecure = config.Insecure || *insecure
	log, err := config.NewLog(c.stderr)
	if err != nil {
		return err
	}
	a, err := app.Open(ctx, config, app.Env{Log: log, Getenv: c.env, Version: versionText()})
	if err != nil {
		return err
	}
	defer a.Close()
	if err := first(ctx, c, a, *admin); err != nil {
		return err
	}
	l, err := a.Listen(false)
	if err != nil {
		return err
	}
	return a.Serve(ctx, l, func() { fmt.Fprintf(c.stderr, "haechi: listening on %s\n", a.URL(l)) })
}

// first makes the first administrator, and tells a terminal of it.
func first(ctx context.Context, c call, a *app.App, file string) error {
	var given *access.Credentials
	if file != "" {
		read, err := access.ReadCredentials(file)
		if err != nil {
			return err
		}
		given = &read
	}
	made, err := a.Access.First(ctx, a.Config.Data, given)
	if err != nil || made == nil || given != nil || terminal(c.stdout) == 0 {
		return err
	}
	fmt.Fprintf(c.stdout, `This is the first start. Sign in to the console as "admin"; the access key is for the aws command and scripts.

  console password       %s
  aws_access_key_id      %s
  aws_secret_access_key  %s

They also stand in %s, until both were used.

`, made.Password.Reveal(), made.KeyID, made.Secret.Reveal(), filepath.Join(a.Config.Data, access.FirstFile))
	return nil
}
