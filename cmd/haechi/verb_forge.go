package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/remote"
	service "github.com/haechi-dev/haechi/door/wire/haechi"
	"github.com/haechi-dev/haechi/room/mirror"
)

func forgeVerb() verb {
	return verb{name: "forge", args: "[list] | add REPOSITORY URL | show REPOSITORY | sync REPOSITORY | remove REPOSITORY", summary: "follow repositories on GitHub, GitLab and Gitea", help: `
  haechi forge add -token env:GITHUB_TOKEN shop \
      https://github.com/acme/shop.git
  haechi forge add -kind gitlab -token file:token shop \
      https://git.corp.example/acme/shop.git
  haechi forge                     what is followed, and what is wrong
  haechi forge show shop           deliveries, pull requests, statuses
  haechi forge sync shop           ask the forge now, and send anew
  haechi forge remove shop         the repository stays

URL is what git clones from. 'add' says where the forge's webhook has to go, and
the secret that it signs with: it is told this once. What is pushed there comes
here, as do pull requests, as branches pr/NUMBER; what runs say of a commit goes
back as its status. The token needs to read the repository and to set commit
statuses; it is read here (env:NAME or file:PATH) and kept sealed by the server.
'add' again changes what is said; a token and a secret that are not said stay.
` + clientHelp, run: forges}
}

var forgeWords = []string{"list", "add", "show", "sync", "remove"}

// forgeFlags are what 'add' is told.
type forgeFlags struct{ kind, api, project, user, token, secret, branches, tags, pulls *string }

func forges(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	private := insecureFlag(flags)
	f := forgeFlags{
		kind:     flags.String("kind", "", "github, gitlab or gitea (Forgejo is a gitea); where the address does not say it"),
		api:      flags.String("api", "", "the `URL` of the forge's API, where it is not where one expects it"),
		project:  flags.String("project", "", "OWNER/NAME on the forge, where the address has more before it"),
		user:     flags.String("user", "", "who the token is of, where git has to say it"),
		token:    flags.String("token", "", "env:NAME or file:PATH"),
		secret:   flags.String("secret", "", "of the webhook, if it is there already: env:NAME or file:PATH"),
		branches: flags.String("branches", "", "patterns of branches that come here at once, besides the default one: 'release/*,next'; '*' is all"),
		tags:     flags.String("tags", "", "the same for tags"),
		pulls:    flags.String("pulls", "all", "whose pull requests come here: all, own (not from forks), none"),
	}
	format := formatFlag(flags, "table", "json")
	rest, err := parse(c, flags, 0, 3)
	if err != nil {
		return err
	}
	shape, err := format()
	if err != nil {
		return err
	}
	do := "list"
	if len(rest) > 0 {
		do, rest = rest[0], rest[1:]
	}
	want := map[string]struct {
		args  int
		flags []string
	}{"list": {0, []string{"format"}}, "show": {1, []string{"format"}}, "sync": {1, nil}, "remove": {1, nil},
		"add": {2, []string{"kind", "api", "project", "user", "token", "secret", "branches", "tags", "pulls", "format", "insecure"}}}
	w, ok := want[do]
	if !ok {
		return unknown(do, forgeWords...)
	}
	if err := only(flags, do, w.flags...); err != nil {
		return err
	}
	if len(rest) != w.args {
		return usagef("%s takes %d, not %d: see its examples", do, w.args, len(rest))
	}
	client, err := find()
	if err != nil {
		return err
	}
	one := struct{ Repository string }{}
	if len(rest) > 0 {
		one.Repository = rest[0]
	}
	switch do {
	case "add":
		if err := private(client); err != nil {
			return err
		}
		return addForge(ctx, c, client, f, rest[0], rest[1], shape)
	case "show":
		return showForge(ctx, c, client, one.Repository, shape)
	case "sync":
		return client.JSON(ctx, "haechi", "Haechi.FollowForge", one, &struct{}{})
	case "remove":
		return client.JSON(ctx, "haechi", "Haechi.DeleteForge", one, &struct{}{})
	}
	return listForges(ctx, c, client, shape)
}

// forgeKind is which forge an address is of, if one can tell by its host.
func forgeKind(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	for name, kind := range map[string]mirror.Kind{"github": mirror.GitHub, "gitlab": mirror.GitLab, "gitea": mirror.Gitea, "forgejo": mirror.Gitea, "codeberg": mirror.Gitea} {
		if strings.Contains(u.Hostname(), name) {
			return string(kind)
		}
	}
	return ""
}

func addForge(ctx context.Context, c call, client *remote.Client, f forgeFlags, repository, address, shape string) error {
	in := struct {
		service.Forge
		Token  *string `json:",omitzero"`
		Secret *string `json:",omitzero"`
	}{Forge: service.Forge{Repository: repository, Clone: address, API: *f.api, Project: *f.project, User: *f.user, Branches: patterns(*f.branches), Tags: patterns(*f.tags), Pulls: mirror.Pulls(*f.pulls)}}
	in.Kind = mirror.Kind(cmp.Or(*f.kind, forgeKind(address)))
	if in.Kind == "" {
		return usagef("which forge is %s? say it with -kind: github, gitlab or gitea", address)
	}
	for _, s := range []struct {
		said string
		to   **string
	}{{*f.token, &in.Token}, {*f.secret, &in.Secret}} {
		if s.said == "" {
			continue
		}
		if !strings.HasPrefix(s.said, "env:") && !strings.HasPrefix(s.said, "file:") {
			return usagef("a token or secret is env:NAME or file:PATH: others see what is typed")
		}
		secret, err := app.Reveal(s.said, c.env)
		if err != nil {
			return usagef("%w", err)
		}
		text := strings.TrimSpace(secret.Reveal())
		*s.to = &text
	}
	var out struct {
		Forge  service.Forge
		Secret string
	}
	if err := client.JSON(ctx, "haechi", "Haechi.PutForge", in, &out); err != nil {
		return err
	}
	hook := strings.TrimSuffix(client.Endpoint, "/") + out.Forge.Hook
	if shape == "json" {
		return writeJSON(c.stdout, map[string]any{"forge": out.Forge, "hook": hook, "secret": out.Secret})
	}
	fmt.Fprintf(c.stdout, "%s follows %s\n", out.Forge.Repository, out.Forge.Clone)
	fmt.Fprintf(c.stdout, "webhook  %s  (as the forge reaches this server)\n", hook)
	if out.Secret != "" {
		fmt.Fprintf(c.stdout, "secret   %s  (told this once)\n", out.Secret)
	}
	fmt.Fprintf(c.stdout, "events   %s, as application/json\n", map[mirror.Kind]string{
		mirror.GitHub: "pushes, pull requests", mirror.GitLab: "push, tag push and merge request events", mirror.Gitea: "push, create, delete, pull request, pull request synchronized",
	}[out.Forge.Kind])
	if !out.Forge.HasToken {
		fmt.Fprintln(c.stdout, "without a token only public repositories are read, and no commit status is set: -token")
	}
	return nil
}

func patterns(text string) (all []string) {
	for p := range strings.SplitSeq(text, ",") {
		if p = strings.TrimSpace(p); p != "" {
			all = append(all, p)
		}
	}
	return all
}

func listForges(ctx context.Context, c call, client *remote.Client, shape string) error {
	var out struct{ Forges []service.Forge }
	if err := client.JSON(ctx, "haechi", "Haechi.ListForges", struct{}{}, &out); err != nil {
		return err
	}
	if shape == "json" {
		return writeJSON(c.stdout, out.Forges)
	}
	w := tabwriter.NewWriter(c.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "REPOSITORY\tFORGE\tFOLLOWS\tLOOKED\tPROBLEM")
	for _, f := range out.Forges {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(f.Repository), printable(string(f.Kind)), printable(f.Clone), forgeMoment(f.Looked), printable(cmp.Or(forgeProblem(f), "-")))
	}
	return w.Flush()
}

// forgeProblem is what is wrong with what a repository follows; "" is nothing.
func forgeProblem(f service.Forge) string {
	problems := []string{}
	if f.Problem != "" {
		problems = append(problems, f.Problem)
	}
	switch f.Parked {
	case 0:
	case 1:
		problems = append(problems, "1 commit status is parked")
	default:
		problems = append(problems, fmt.Sprintf("%d commit statuses are parked", f.Parked))
	}
	return strings.Join(problems, "; ")
}

func forgeMoment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func showForge(ctx context.Context, c call, client *remote.Client, repository, shape string) error {
	var out struct {
		Forge      service.Forge
		Deliveries []service.Delivery
		Statuses   []service.CommitStatus
		Pulls      []service.PullRequest
	}
	if err := client.JSON(ctx, "haechi", "Haechi.GetForge", struct{ Repository string }{repository}, &out); err != nil {
		return err
	}
	if shape == "json" {
		return writeJSON(c.stdout, out)
	}
	fmt.Fprintf(c.stdout, "%s follows %s, last looked %s\n", printable(repository), printable(out.Forge.Clone), forgeMoment(out.Forge.Looked))
	if problem := forgeProblem(out.Forge); problem != "" {
		fmt.Fprintf(c.stdout, "problem: %s\n", printable(problem))
	}
	section := func(head string, n int, line func(w io.Writer, i int)) error {
		if n == 0 {
			return nil
		}
		w := tabwriter.NewWriter(c.stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "\n"+head)
		for i := range n {
			line(w, i)
		}
		return w.Flush()
	}
	if err := section("DELIVERED\tEVENT\tOF\tBY\tSTATE", len(out.Deliveries), func(w io.Writer, i int) {
		d := out.Deliveries[i]
		of := d.Ref
		if d.Pull > 0 {
			of = fmt.Sprintf("pr/%d", d.Pull)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", forgeMoment(d.At), printable(d.Event), printable(cmp.Or(of, "-")), printable(cmp.Or(d.Who, "-")), d.Status)
	}); err != nil {
		return err
	}
	if err := section("PULL\tSTATE\tFROM\tINTO\tBY\tTITLE", len(out.Pulls), func(w io.Writer, i int) {
		p := out.Pulls[i]
		state := "closed"
		if p.Open {
			state = "open"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(p.Branch), state, printable(p.Source), printable(p.Target), printable(p.Who), printable(p.Title))
	}); err != nil {
		return err
	}
	return section("STATUS OF\tCHECK\tSAYS\tSTATE\tPROBLEM", len(out.Statuses), func(w io.Writer, i int) {
		s := out.Statuses[i]
		fmt.Fprintf(w, "%.12s\t%s\t%s\t%s\t%s\n", s.Commit, printable(s.Context), s.State, s.Status, printable(cmp.Or(s.Problem, "-")))
	})
}
