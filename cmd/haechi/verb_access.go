package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/word/fault"
)

func accessVerb() verb {
	return verb{name: "access", args: "token git | token intake | reset", summary: "tokens, and a way in for who has lost it", help: `
  haechi access token intake                 a token to send logs with
  haechi access token git -user kim          kim's password for git over HTTP
  haechi access reset -data /var/lib/haechi

A token is printed once and kept as a hash. 'reset' gives the user "admin" a new
access key and a new console password in place of all former ones, and writes
them to first-credentials in the data folder; the server must not be running
meanwhile. Users, groups, roles and policies are on the console's page Users,
and the aws command's: aws --endpoint-url URL iam …, sts …
` + clientHelp, run: accessDo}
}

func accessDo(ctx context.Context, c call, flags *flag.FlagSet) error {
	read := serverFlags(c, flags)
	endpoint := endpointFlag(flags)
	private := insecureFlag(flags)
	user := flags.String("user", "", "whose token it is to be (who asks)")
	rest, err := parse(c, flags, 1, 2)
	if err != nil {
		return err
	}
	switch {
	case rest[0] == "reset" && len(rest) == 1:
		if err := only(flags, "reset", "database", "account", "region", "log", "config"); err != nil {
			return err
		}
		return accessReset(ctx, c, read)
	case rest[0] == "token" && len(rest) == 2 && (rest[1] == "git" || rest[1] == "intake"):
		if err := only(flags, "token", "user", "insecure"); err != nil {
			return err
		}
		client, err := findServer(c, *endpoint, flags.Lookup("data").Value.String())
		if err != nil {
			return err
		}
		if err := private(client); err != nil {
			return err
		}
		var made struct{ Value string }
		if err := client.JSON(ctx, "haechi", "Haechi.CreateToken", tokenCall{*user, rest[1]}, &made); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, made.Value)
		return nil
	case rest[0] == "token":
		return usagef("a token is for git or for intake")
	case rest[0] == "reset":
		return usagef("%q is too much", rest[1])
	}
	return unknown(rest[0], "token", "reset")
}

func accessReset(ctx context.Context, c call, read func() (app.Config, error)) error {
	config, err := read()
	if err != nil {
		return err
	}
	if _, err := os.Stat(config.Data); err != nil {
		return fault.Invalid.Errorf("there is no installation in %s (-data names another folder): %w", config.Data, err)
	}
	log, err := config.NewLog(c.stderr)
	if err != nil {
		return err
	}
	a, err := app.Open(ctx, config, app.Env{Log: log, Getenv: c.env, Version: versionText(), AnyKey: true, NoWait: true})
	if err != nil {
		return err
	}
	defer a.Close()
	made, err := a.Access.Reset(ctx, config.Data)
	if err != nil {
		return err
	}
	if terminal(c.stdout) > 0 {
		fmt.Fprintf(c.stdout, "console password       %s\naws_access_key_id      %s\naws_secret_access_key  %s\n\n", made.Password.Reveal(), made.KeyID, made.Secret.Reveal())
	}
	fmt.Fprintf(c.stdout, "the new credentials of %q stand in %s, until both were used\n", access.AdminUser, filepath.Join(config.Data, access.FirstFile))
	return nil
}

type tokenCall struct {
	User    string `json:"User,omitzero"`
	Purpose string
}
