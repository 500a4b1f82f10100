package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/keeper/source"
)

func repoVerb() verb {
	return verb{name: "repo", args: "[list] | create NAME | show NAME | protect NAME | pulls NAME | judge PULL | override PULL | signer …", summary: "repositories, their rules, and pull requests", help: `
  haechi repo                           all repositories, and where to clone
  haechi repo create shop
  haechi repo show shop                 its rules, and how well it is kept
  haechi repo protect -approvals 1 -signed shop
  haechi repo protect -branch 'release/*' -checks pipeline/shop shop
  haechi repo protect -tags 'v*' shop   tags that neither move nor go
  haechi repo protect -off shop         no rule for the default branch
  haechi repo pulls shop                pull requests that are open
  haechi repo judge 7                   may it be merged, and why not
  haechi repo override -reason 'the shop is down' -hours 2 7
  haechi repo signer                    keys that commits are signed with
  haechi repo signer add -owner kim ~/.ssh/id_ed25519.pub
  gpg --armor --export kim | haechi repo signer add -owner kim -
  haechi repo signer remove SHA256:…

'protect' says what is asked of everything that comes to a branch; said again, it
takes the place of what was said of that branch. Without flags, its history only
grows; where it does already, nothing is changed. A push to refs/for/BRANCH opens
a pull request: git push origin HEAD:refs/for/main. 'judge' exits 1 where it may
not be merged. Whom to trust with what, policies say: haechi help access.
` + clientHelp, run: repos}
}

var repoWords = []string{"list", "create", "show", "protect", "pulls", "judge", "override", "signer"}

// repoFlags are what its words are told.
type repoFlags struct {
	branch, owners, definitions, checks, tags, reason, owner, emails *string
	approvals, hours                                                 *int
	pulls, codeOwners, signed, off                                   *bool
}

func repos(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	f := repoFlags{
		branch:      flags.String("branch", "", "the `pattern` of branches that is meant: main, 'release/*'; the default branch"),
		approvals:   flags.Int("approvals", 0, "people who must approve, besides those who made a change"),
		pulls:       flags.Bool("pull-request", false, "nothing comes but by pull requests (as -approvals and the like ask, too)"),
		codeOwners:  flags.Bool("code-owners", false, "an owner of each file must approve, as CODEOWNERS of the branch says"),
		owners:      flags.String("owners", "", "who must approve changes of buildspecs, .haechi and the like: kim,@security"),
		definitions: flags.String("definitions", "", "what else these must approve changes of, as in CODEOWNERS: 'ci/*.yml,/Makefile'"),
		checks:      flags.String("checks", "", "what must have passed on the commit: pipeline/shop"),
		signed:      flags.Bool("signed", false, "commits must be signed with a key that is known"),
		tags:        flags.String("tags", "", "`patterns` of tags that are made once: 'v*'"),
		off:         flags.Bool("off", false, "no rule for these branches any more"),
		reason:      flags.String("reason", "", "why it is merged without what is asked for"),
		hours:       flags.Int("hours", 4, "how long that holds, at most 168"),
		owner:       flags.String("owner", "", "whose key it is: a user, or an ARN; yours"),
		emails:      flags.String("emails", "", "mail addresses that the commits bear, where the key's comment is none"),
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
	want, ok := map[string]struct {
		least, most int
		flags       []string
	}{
		"list": {0, 0, []string{"format"}}, "create": {1, 1, []string{"format"}}, "show": {1, 1, []string{"format"}}, "pulls": {1, 1, []string{"format"}}, "judge": {1, 1, []string{"format"}},
		"protect":  {1, 1, []string{"format", "branch", "approvals", "pull-request", "code-owners", "owners", "definitions", "checks", "signed", "tags", "off"}},
		"override": {1, 1, []string{"format", "reason", "hours"}}, "signer": {0, 2, []string{"format", "owner", "emails"}},
	}[do]
	if !ok {
		return unknown(do, repoWords...)
	}
	if err := only(flags, do, want.flags...); err != nil {
		return err
	}
	if len(rest) < want.least || len(rest) > want.most {
		return usagef("%s takes %d, not %d: see its examples", do, want.least, len(rest))
	}
	client, err := find()
	if err != nil {
		return err
	}
	r := repoClient{c, client, shape}
	switch do {
	case "list":
		return r.list(ctx)
	case "create":
		return r.create(ctx, rest[0])
	case "show":
		return r.show(ctx, rest[0])
	case "protect":
		return r.protect(ctx, rest[0], f)
	case "pulls":
		return r.pulls(ctx, rest[0])
	case "signer":
		return r.signer(ctx, rest, f)
	}
	number, err := strconv.ParseInt(strings.TrimPrefix(rest[0], "#"), 10, 64)
	if err != nil || number < 1 {
		return usagef("%q is no number of a pull request: 'haechi repo pulls REPOSITORY' lists them", rest[0])
	}
	if do == "override" {
		if strings.TrimSpace(*f.reason) == "" {
			return usagef("an override needs a reason: -reason 'why'")
		}
		if *f.hours < 1 || *f.hours > 168 {
			return usagef("-hours is 1 to 168, not %d", *f.hours)
		}
	}
	return r.judge(ctx, number, do == "override", *f.reason, *f.hours)
}

type repoClient struct {
	c      call
	client *remote.Client
	shape  string
}

func (r repoClient) ask(ctx context.Context, operation string, in, out any) error {
	return r.client.JSON(ctx, "haechi", "Haechi."+operation, in, out)
}

func (r repoClient) codecommit(ctx context.Context, operation string, in, out any) error {
	return r.client.JSON(ctx, "codecommit", "CodeCommit_20150413."+operation, in, out)
}

// What CodeCommit's API answers, as far as it is shown here.
type (
	repoMetadata struct {
		Name   string `json:"repositoryName"`
		Branch string `json:"defaultBranch,omitzero"`
		URL    string `json:"cloneUrlHttp,omitzero"`
		About  string `json:"repositoryDescription,omitzero"`
	}
	repoOne struct {
		RepositoryMetadata repoMetadata `json:"repositoryMetadata"`
	}
	repoName struct {
		Name string `json:"repositoryName"`
	}
	repoPage struct {
		Token string `json:"nextToken,omitzero"`
	}
)

// clone is where git finds a repository: what the server says, else where it was called.
func (r repoClient) clone(m repoMetadata) string {
	return cmp.Or(m.URL, strings.TrimSuffix(r.client.Endpoint, "/")+"/git/"+m.Name)
}

func (r repoClient) list(ctx context.Context) error {
	var all []repoMetadata
	for page := (repoPage{}); ; {
		var out struct {
			Repositories []repoName `json:"repositories"`
			Token        string     `json:"nextToken"`
		}
		if err := r.codecommit(ctx, "ListRepositories", page, &out); err != nil {
			return err
		}
		for names := range slices.Chunk(out.Repositories, 100) {
			in := struct {
				Names []string `json:"repositoryNames"`
			}{}
			for _, n := range names {
				in.Names = append(in.Names, n.Name)
			}
			var some struct {
				Repositories []repoMetadata `json:"repositories"`
			}
			if err := r.codecommit(ctx, "BatchGetRepositories", in, &some); err != nil {
				return err
			}
			all = append(all, some.Repositories...)
		}
		if page.Token = out.Token; page.Token == "" {
			break
		}
	}
	if r.shape == "json" {
		return writeJSON(r.c.stdout, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(r.c.stderr, "haechi repo: none yet: haechi repo create NAME, or push to one")
		return nil
	}
	t := tabwriter.NewWriter(r.c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REPOSITORY\tBRANCH\tCLONE")
	for _, m := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\n", cell(m.Name), cell(cmp.Or(m.Branch, "-")), cell(r.clone(m)))
	}
	return t.Flush()
}

func (r repoClient) create(ctx context.Context, name string) error {
	var out repoOne
	if err := r.codecommit(ctx, "CreateRepository", repoName{name}, &out); err != nil {
		return err
	}
	if r.shape == "json" {
		return writeJSON(r.c.stdout, out.RepositoryMetadata)
	}
	fmt.Fprintf(r.c.stdout, "%s is there: git clone %s\n", name, r.clone(out.RepositoryMetadata))
	return nil
}

type repoRules struct {
	Rules source.Rules
	Level int
	Why   string
}

type repoOf struct{ Repository string }

func (r repoClient) show(ctx context.Context, name string) error {
	var one repoOne
	if err := r.codecommit(ctx, "GetRepository", repoName{name}, &one); err != nil {
		return err
	}
	var known repoRules
	if err := r.ask(ctx, "GetRepositoryRules", repoOf{name}, &known); err != nil {
		return err
	}
	return r.tell(one.RepositoryMetadata, known)
}

func (r repoClient) tell(m repoMetadata, known repoRules) error {
	if r.shape == "json" {
		return writeJSON(r.c.stdout, struct {
			repoMetadata
			Rules source.Rules `json:"rules"`
			Level int          `json:"sourceLevel"`
			Why   string       `json:"why"`
		}{m, known.Rules, known.Level, known.Why})
	}
	w := r.c.stdout
	fmt.Fprintf(w, "%s  %s\nlevel %d of 4: %s\n", cell(m.Name), cell(r.clone(m)), known.Level, known.Why)
	protected := slices.DeleteFunc(protectedBy(known.Rules, m.Branch), func(pattern string) bool { return hasRule(known.Rules, pattern) })
	if len(protected) > 0 {
		fmt.Fprintf(w, "%s: history only grows\n", cell(strings.Join(protected, ", ")))
	}
	for _, b := range known.Rules.Branches {
		fmt.Fprintf(w, "%s: %s\n", cell(b.Pattern), cell(ruleText(b)))
	}
	if len(known.Rules.Tags) > 0 {
		fmt.Fprintf(w, "tags %s: made once\n", cell(strings.Join(known.Rules.Tags, ", ")))
	}
	return nil
}

// protectedBy are the patterns of branches whose history only grows without a rule of their own.
func protectedBy(r source.Rules, standard string) (all []string) {
	if !r.Unprotected && standard != "" {
		all = append(all, standard)
	}
	for _, pattern := range r.Protected {
		if !slices.Contains(all, pattern) {
			all = append(all, pattern)
		}
	}
	return all
}

// hasRule tells whether there is a rule for exactly this pattern.
func hasRule(r source.Rules, pattern string) bool {
	return slices.ContainsFunc(r.Branches, func(b source.BranchRule) bool { return b.Pattern == pattern })
}

// ruleText is what a rule asks for, in words.
func ruleText(b source.BranchRule) string {
	var asks []string
	add := func(is bool, text string) {
		if is {
			asks = append(asks, text)
		}
	}
	add(b.PullRequest || b.Approvals > 0 || b.CodeOwners || len(b.Owners) > 0 || len(b.Checks) > 0, "pull requests only")
	add(b.Approvals > 0, fmt.Sprintf("%d approved by others", b.Approvals))
	add(b.CodeOwners, "code owners")
	add(len(b.Owners) > 0, strings.Join(append([]string{"definition files"}, b.Definitions...), ", ")+" by "+strings.Join(b.Owners, " or "))
	add(len(b.Checks) > 0, "passed "+strings.Join(b.Checks, ", "))
	add(b.Signed, "signed commits")
	return strings.Join(append(asks, "history only grows"), "; ")
}

func (r repoClient) protect(ctx context.Context, name string, f repoFlags) error {
	var one repoOne
	if err := r.codecommit(ctx, "GetRepository", repoName{name}, &one); err != nil {
		return err
	}
	var known repoRules
	if err := r.ask(ctx, "GetRepositoryRules", repoOf{name}, &known); err != nil {
		return err
	}
	rule := source.BranchRule{
		Pattern: cmp.Or(*f.branch, one.RepositoryMetadata.Branch, "main"), PullRequest: *f.pulls, Approvals: *f.approvals, CodeOwners: *f.codeOwners,
		Owners: listed(*f.owners), Definitions: listed(*f.definitions), Checks: listed(*f.checks), Signed: *f.signed,
	}
	asks := rule.PullRequest || rule.Approvals > 0 || rule.CodeOwners || len(rule.Owners) > 0 || len(rule.Definitions) > 0 || len(rule.Checks) > 0 || rule.Signed
	kept := hasRule(known.Rules, rule.Pattern) || slices.Contains(protectedBy(known.Rules, one.RepositoryMetadata.Branch), rule.Pattern)
	switch {
	case *f.off && (asks || *f.tags != ""):
		return usagef("-off takes a rule away: it goes with -branch alone")
	case *f.tags != "" && !asks && *f.branch == "":
		known.Rules.Tags = listed(*f.tags)
	case !*f.off && !asks && kept: // its history only grows already, and no more than that is asked for
		if *f.tags == "" {
			return r.tell(one.RepositoryMetadata, known)
		}
		known.Rules.Tags = listed(*f.tags)
	default:
		known.Rules.Branches = slices.DeleteFunc(known.Rules.Branches, func(b source.BranchRule) bool { return b.Pattern == rule.Pattern })
		if !*f.off {
			known.Rules.Branches = append(known.Rules.Branches, rule)
		}
		if *f.tags != "" {
			known.Rules.Tags = listed(*f.tags)
		}
	}
	in := struct {
		Repository string
		Rules      source.Rules
	}{name, known.Rules}
	if err := r.ask(ctx, "PutRepositoryRules", in, &known); err != nil {
		return err
	}
	return r.tell(one.RepositoryMetadata, known)
}

// shortRef is what people call a ref.
func shortRef(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/")
}

// listed are words with commas between them.
func listed(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' })
}

func (r repoClient) pulls(ctx context.Context, name string) error {
	type pull struct {
		ID       string `json:"pullRequestId"`
		Title    string `json:"title"`
		Author   string `json:"authorArn"`
		Revision string `json:"revisionId"`
		Targets  []struct {
			Source string `json:"sourceReference"`
			Target string `json:"destinationReference"`
		} `json:"pullRequestTargets"`
	}
	var list struct {
		IDs []string `json:"pullRequestIds"`
	}
	in := struct {
		Name   string `json:"repositoryName"`
		Status string `json:"pullRequestStatus"`
	}{name, "OPEN"}
	if err := r.codecommit(ctx, "ListPullRequests", in, &list); err != nil {
		return err
	}
	all := []pull{}
	for _, id := range list.IDs {
		var out struct {
			Pull pull `json:"pullRequest"`
		}
		if err := r.codecommit(ctx, "GetPullRequest", map[string]string{"pullRequestId": id}, &out); err != nil {
			return err
		}
		all = append(all, out.Pull)
	}
	if r.shape == "json" {
		return writeJSON(r.c.stdout, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(r.c.stderr, "haechi repo: none is open")
		return nil
	}
	t := tabwriter.NewWriter(r.c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PULL\tFROM\tINTO\tBY\tTITLE")
	for _, p := range all {
		from, into := "-", "-"
		if len(p.Targets) > 0 {
			from, into = shortRef(p.Targets[0].Source), shortRef(p.Targets[0].Target)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", cell(p.ID), cell(from), cell(into), cell(p.Author[strings.LastIndexByte(p.Author, '/')+1:]), cell(p.Title))
	}
	return t.Flush()
}

type pullVerdict struct {
	Repository, Title, State, Source, Target, Revision string
	Mergeable, Overridden                              bool
	Demands                                            []struct {
		Name, Why   string
		Met, Lifted bool
	}
	Ignored []string
}

func (r repoClient) judge(ctx context.Context, number int64, override bool, reason string, hours int) error {
	operation, in := "JudgePullRequest", map[string]any{"PullRequest": number}
	if override {
		operation, in["Reason"], in["Hours"] = "OverridePullRequest", reason, hours
	}
	var v pullVerdict
	if err := r.ask(ctx, operation, in, &v); err != nil {
		return err
	}
	if r.shape == "json" {
		if err := writeJSON(r.c.stdout, v); err != nil {
			return err
		}
	} else {
		w := r.c.stdout
		fmt.Fprintf(w, "%d  %s  %s → %s  %s\n", number, strings.ToLower(v.State), cell(shortRef(v.Source)), cell(shortRef(v.Target)), cell(v.Title))
		for _, d := range v.Demands {
			mark := "no "
			switch {
			case d.Met:
				mark = "yes"
			case d.Lifted:
				mark = "lifted"
			}
			fmt.Fprintf(w, "  %-6s  %s: %s\n", mark, cell(d.Name), cell(d.Why))
		}
		for _, why := range v.Ignored {
			fmt.Fprintf(w, "  does not count: %s\n", cell(why))
		}
		if v.Overridden {
			fmt.Fprintln(w, "  overridden for this revision alone: void when the source or the target moves")
		}
	}
	if !v.Mergeable {
		return exit(exitWrong)
	}
	return nil
}

// key is the public key in a file, or in what is piped in.
func (r repoClient) key(file string) (string, error) {
	text, err := []byte(nil), error(nil)
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(r.c.stdin, mostKey+1))
	} else {
		text, err = os.ReadFile(file)
	}
	switch {
	case err != nil:
		return "", err
	case strings.Contains(string(text), "PRIVATE KEY"):
		return "", usagef("%s is a private key: the file that ends in .pub is meant, or what gpg --armor --export writes", file)
	case len(text) > mostKey:
		return "", usagef("%s is too long for a public key: gpg --armor --export-options export-minimal --export KEY leaves out what others say of it", file)
	case len(text) > 0 && text[0] >= 0x80:
		return "", usagef("%s is not armoured: gpg --armor --export KEY", file)
	}
	return string(text), nil
}

// mostKey is how long the text of a public key may be.
const mostKey = 128 << 10

func (r repoClient) signer(ctx context.Context, rest []string, f repoFlags) error {
	do := "list"
	if len(rest) > 0 {
		do, rest = rest[0], rest[1:]
	}
	switch {
	case do == "list" && len(rest) == 0:
	case do == "add" && len(rest) == 1:
		text, err := r.key(rest[0])
		if err != nil {
			return err
		}
		in := struct {
			Owner  string   `json:"Owner,omitzero"`
			Key    string   `json:"Key"`
			Emails []string `json:"Emails,omitzero"`
		}{*f.owner, text, listed(*f.emails)}
		var out struct{ Signer source.Signer }
		if err := r.ask(ctx, "AddSigner", in, &out); err != nil {
			return err
		}
		if r.shape == "json" {
			return writeJSON(r.c.stdout, out.Signer)
		}
		fmt.Fprintf(r.c.stdout, "%s signs for %s as %s\n", out.Signer.Fingerprint, cell(out.Signer.Owner), cell(strings.Join(out.Signer.Emails, ", ")))
		return nil
	case do == "remove" && len(rest) == 1:
		return r.ask(ctx, "DeleteSigner", map[string]string{"Fingerprint": rest[0]}, nil)
	default:
		return usagef("signer is followed by list, add FILE or remove FINGERPRINT")
	}
	var out struct{ Signers []source.Signer }
	if err := r.ask(ctx, "ListSigners", struct{}{}, &out); err != nil {
		return err
	}
	if r.shape == "json" {
		return writeJSON(r.c.stdout, out.Signers)
	}
	if len(out.Signers) == 0 {
		fmt.Fprintln(r.c.stderr, "haechi repo: no key is known: haechi repo signer add FILE")
		return nil
	}
	t := tabwriter.NewWriter(r.c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tOWNER\tUNTIL\tADDRESSES")
	for _, sg := range out.Signers {
		until := "-"
		if !sg.Expires.IsZero() {
			until = sg.Expires.Format(time.DateOnly)
		}
		if sg.Revoked != "" {
			until = "revoked"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", sg.Fingerprint, cell(sg.Owner), until, cell(strings.Join(sg.Emails, ", ")))
	}
	return t.Flush()
}
