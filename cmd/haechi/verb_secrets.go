package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/tool/scan/live"
	"github.com/haechi-dev/haechi/word/fault"
)

func secretsVerb() verb {
	return verb{name: "secrets", args: "export REPOSITORY | import REPOSITORY FILE… | validate ID", summary: "what is let be of secrets, and whether one still works", help: `
  haechi secrets export shop > .haechi-secrets   what the hub lets be
  haechi secrets import -reason "as before" -owner kim shop .gitleaksignore
  haechi secrets validate ID                     ask AWS, GitHub or Slack

'export' writes the suppressions of a repository: sorted, keyed by a hash with the
repository's salt, without line numbers. With '.haechi-secrets merge=union' in
.gitattributes branches merge without a conflict. 'import' suppresses what
.gitleaksignore, .gitleaks.toml, .secrets.baseline of detect-secrets or a
.haechi-secrets let be in the newest commit of the default branch. 'validate'
makes the server send the secret to its provider, in one call that changes
nothing, and write the answer down; exits 1 if the secret works.
` + clientHelp, run: secretsDo}
}

func secretsDo(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	reason := flags.String("reason", "", "why what the files name is no matter, where they do not say so")
	owner := flags.String("owner", "", "who answers for it")
	until := flags.String("until", "", "the last `day` on which it is let be: 2027-01-31")
	rest, err := parse(c, flags, 2, -1)
	if err != nil {
		return err
	}
	client, err := find()
	if err != nil {
		return err
	}
	switch {
	case rest[0] == "export" && len(rest) == 2:
		return exportSecrets(ctx, c, client, rest[1])
	case rest[0] == "import" && len(rest) > 2:
		if strings.TrimSpace(*reason) == "" || strings.TrimSpace(*owner) == "" {
			return usagef("say why with -reason, and who answers for it with -owner")
		}
		return importSecrets(ctx, c, client, rest[1], rest[2:], *reason, *owner, *until)
	case rest[0] == "validate" && len(rest) == 2:
		return validateSecret(ctx, c, client, rest[1])
	}
	return unknown(rest[0], "export", "import", "validate")
}

func exportSecrets(ctx context.Context, c call, client *remote.Client, repository string) error {
	var out struct{ Name, Text string }
	if err := client.JSON(ctx, "haechi", "Haechi.ExportSecrets", struct{ Repository string }{repository}, &out); err != nil {
		return err
	}
	_, err := fmt.Fprint(c.stdout, out.Text)
	return err
}

func importSecrets(ctx context.Context, c call, client *remote.Client, repository string, names []string, reason, owner, until string) error {
	type file struct{ Name, Text string }
	in := struct {
		Repository    string
		Files         []file
		Reason, Owner string
		Until         string `json:"Until,omitzero"`
	}{Repository: repository, Reason: reason, Owner: owner, Until: until}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return usagef("%w", err)
		}
		in.Files = append(in.Files, file{filepath.Base(name), string(text)})
	}
	var out struct{ Suppressed int }
	if err := client.JSON(ctx, "haechi", "Haechi.ImportSecrets", in, &out); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "%d suppressed\n", out.Suppressed)
	return nil
}

func validateSecret(ctx context.Context, c call, client *remote.Client, id string) error {
	found, _, err := getFindings(ctx, client, hub.Filters{"Id": hub.Is(id)}, orders["newest"], 2)
	if err != nil {
		return err
	}
	parsed, err := parseFindings(found)
	if err != nil {
		return err
	}
	if len(parsed) != 1 {
		return fault.NotFound.Errorf("there is no one finding with the Id %q", id)
	}
	var out struct{ State, Who, Why string }
	if err := client.JSON(ctx, "haechi", "Haechi.ValidateSecret", struct{ Finding hub.Ref }{hub.RefOf(parsed[0])}, &out); err != nil {
		return err
	}
	switch live.State(out.State) {
	case live.Works:
		fmt.Fprintf(c.stdout, "it works; whoever has it is %s\n", out.Who)
		return exit(exitWrong)
	case live.Dead:
		fmt.Fprintln(c.stdout, "its provider does not know it any more: resolved")
	default:
		fmt.Fprintf(c.stdout, "its provider says neither: %s\n", out.Why)
	}
	return nil
}
