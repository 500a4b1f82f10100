package build

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Facts are what a build is told of itself, in CodeBuild's variables. Empty ones are left out.
type Facts struct {
	Region        string // AWS_REGION
	ID            string // project:id
	ARN           string
	Number        int64
	Image         string
	Initiator     string // codepipeline/NAME, or a user
	KMSKey        string
	LogPath       string
	PublicURL     string
	Resolved      string            // the commit
	SourceVersion string            // refs/heads/main, pr/5 …
	SourceURL     string            // of the repository
	Secondary     map[string]Source // by their identifiers; each lies in src_ID
	Started       time.Time
	Batch         string // the build's identifier within its batch
	Shard, Shards int    // of a build-fanout

	Actor, BaseRef, HeadRef, Event, Trigger, MergeCommit, PreviousCommit string // of a webhook
}

// Source is a secondary source.
type Source struct{ URL, Version string }

// Environment is what a build whose folder is seen at work is told of itself, as NAME=VALUE.
func (f Facts) Environment(work string) []string { return lines(f.variables(work)) }

func (f Facts) variables(work string) map[string]string {
	m := map[string]string{
		"CODEBUILD_BUILD_ID": f.ID, "CODEBUILD_BUILD_ARN": f.ARN, "CODEBUILD_BUILD_IMAGE": f.Image, "CODEBUILD_INITIATOR": f.Initiator,
		"CODEBUILD_KMS_KEY_ID": f.KMSKey, "CODEBUILD_LOG_PATH": f.LogPath, "CODEBUILD_PUBLIC_BUILD_URL": f.PublicURL,
		"CODEBUILD_RESOLVED_SOURCE_VERSION": f.Resolved, "CODEBUILD_SOURCE_VERSION": f.SourceVersion, "CODEBUILD_SOURCE_REPO_URL": f.SourceURL,
		"CODEBUILD_BATCH_BUILD_IDENTIFIER": f.Batch, "CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": f.Actor, "CODEBUILD_WEBHOOK_BASE_REF": f.BaseRef,
		"CODEBUILD_WEBHOOK_HEAD_REF": f.HeadRef, "CODEBUILD_WEBHOOK_EVENT": f.Event, "CODEBUILD_WEBHOOK_TRIGGER": f.Trigger,
		"CODEBUILD_WEBHOOK_MERGE_COMMIT": f.MergeCommit, "CODEBUILD_WEBHOOK_PREV_COMMIT": f.PreviousCommit,
		"CODEBUILD_SRC_DIR": work + "/src", "CODEBUILD_BUILD_SUCCEEDING": "1",
	}
	if f.Number > 0 {
		m["CODEBUILD_BUILD_NUMBER"] = strconv.FormatInt(f.Number, 10)
	}
	if !f.Started.IsZero() {
		m["CODEBUILD_START_TIME"] = strconv.FormatInt(f.Started.UnixMilli(), 10)
	}
	if f.Shards > 0 {
		m["HAECHI_SHARD"], m["HAECHI_SHARDS"] = strconv.Itoa(f.Shard), strconv.Itoa(f.Shards)
	}
	for id, s := range f.Secondary {
		m["CODEBUILD_SRC_DIR_"+id], m["CODEBUILD_SOURCE_REPO_URL_"+id], m["CODEBUILD_SOURCE_VERSION_"+id] = work+"/src_"+id, s.URL, s.Version
	}
	maps.DeleteFunc(m, func(_, value string) bool { return value == "" })
	return m
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment is what the build finds. What comes later wins; values replace and are not expanded.
func (r *running) environment() ([]string, error) {
	env := map[string]string{"CI": "true", "HOME": r.work + "/home", "AWS_REGION": r.plan.Facts.Region, "AWS_DEFAULT_REGION": r.plan.Facts.Region}
	add := func(from string, list []Variable) error {
		for _, v := range list {
			switch {
			case !variableName.MatchString(v.Name):
				return fault.Invalid.Errorf("%q of %s cannot be a variable: letters, digits and _, no digit first", v.Name, from)
			case strings.HasPrefix(v.Name, "CODEBUILD_"):
				return fault.Invalid.Errorf("variable %s of %s: names that start with CODEBUILD_ are set by the build", v.Name, from)
			case strings.ContainsRune(v.Value, 0):
				return fault.Invalid.Errorf("variable %s of %s holds a zero byte", v.Name, from)
			case strings.HasPrefix(v.Name, "haechi_"):
				return fault.Invalid.Errorf("variable %s of %s: names that start with haechi_ are the shell's own", v.Name, from)
			}
			env[v.Name] = v.Value
		}
		return nil
	}
	var spec []Variable
	for name, value := range r.spec.Variables {
		spec = append(spec, Variable{name, value})
	}
	for _, l := range []struct {
		from string
		list []Variable
	}{{"the server", r.plan.Env}, {"the buildspec", spec}, {"the project", r.plan.Variables}, {"the secrets", r.plan.Secrets}} {
		if err := add(l.from, l.list); err != nil {
			return nil, err
		}
	}
	for id := range r.plan.Facts.Secondary {
		if !variableName.MatchString("_" + id) {
			return nil, fault.Invalid.Errorf("%q cannot be the identifier of a source", id)
		}
	}
	maps.Copy(env, r.plan.Facts.variables(r.work))
	if err := r.git(env); err != nil {
		return nil, err
	}
	return lines(env), nil
}

func lines(env map[string]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if env[name] != "" || !strings.HasPrefix(name, "AWS_") {
			list = append(list, name+"="+env[name])
		}
	}
	return list
}

// git lets git know itself to one server, without a file that holds the
// password: with the credential that the build was given, or as its role to
// where its sources come from, which speaks CodeCommit's way.
func (r *running) git(env map[string]string) error {
	if !r.spec.GitHelper {
		return nil
	}
	const (
		given  = `!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$HAECHI_GIT_USER" "$HAECHI_GIT_PASSWORD"; }; f`
		asRole = `!f() { test "$1" = get && aws codecommit credential-helper --ignore-host-check get; }; f`
	)
	to, helper := "", asRole
	if g := r.plan.Git; g != nil {
		if strings.ContainsAny(g.URL+g.User+g.Password, "\x00\n") {
			return fault.Invalid.Errorf("git's credential holds a newline")
		}
		to, helper = g.URL, given
		env["HAECHI_GIT_USER"], env["HAECHI_GIT_PASSWORD"] = g.User, g.Password
	} else if u, err := url.Parse(r.plan.Facts.SourceURL); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
		to = u.Scheme + "://" + u.Host
	}
	if to == "" {
		r.printf("git-credential-helper is passed over: nobody gives this build credentials\n")
		return nil
	}
	for i, c := range [][2]string{{"credential." + to + ".helper", helper}, {"credential." + to + ".useHttpPath", "true"}} {
		env[fmt.Sprint("GIT_CONFIG_KEY_", i)], env[fmt.Sprint("GIT_CONFIG_VALUE_", i)] = c[0], c[1]
	}
	env["GIT_CONFIG_COUNT"] = "2"
	return nil
}

// Secondary is where the sources of a secondary source are to lie.
func Secondary(dir, id string) string { return filepath.Join(dir, "src_"+id) }

// Sources is where the sources are to lie; the folder is made when it is not there.
func Sources(dir string) (string, error) {
	src := filepath.Join(dir, "src")
	if err := os.MkdirAll(src, 0o755); err != nil {
		return "", fmt.Errorf("making the folder of the sources: %w", err)
	}
	return src, nil
}
