package console

import (
	"context"
	"errors"
	"html/template"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// What the pages of one repository have in common.

// Reviewer is somebody as pull requests know people.
type Reviewer func(ctx context.Context, who iam.Principal) source.Person

const repositoriesPath = "/repositories"

// repositoryPath is an address of a repository's pages; pairs are names and values of the query, those without a value left out.
func repositoryPath(name, page string, pairs ...string) string {
	to := repositoriesPath + "/" + url.PathEscape(name)
	if page != "" {
		to += "/" + page
	}
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	return to
}

// askRepository asks whether somebody may do something with the repository that the address names.
func (o *Console) askRepository(action string) func(r *request) []iam.Request {
	return func(r *request) []iam.Request {
		return r.ask("codecommit:"+action, o.config.Source.ARN(r.PathValue("repository")))
	}
}

// tab is one of the pages of a thing.
type tab struct {
	Title, Path string
	Here        bool
}

// repositoryHead is what stands above every page of a repository.
type repositoryHead struct {
	Name string
	Ref  string // as it was asked for: a branch, a tag or a commit
	Tabs []tab
	Refs []string // to choose from

	repository source.Repository
	git        *git.Repo
	commit     string // that Ref stands for; "" where there is none yet
}

const refsOffered = 500

// repository is the one that the address names, at the ref that it names or the default branch.
func (r *request) repository(here string) (h repositoryHead, err error) {
	s := r.console.config.Source
	if h.repository, err = s.Repository(r.Context(), r.PathValue("repository")); err != nil {
		return h, err
	}
	h.Name = h.repository.Name
	if h.git, err = s.Git(h.Name); err != nil {
		return h, err
	}
	if h.Ref = r.FormValue("ref"); h.Ref == "" {
		h.Ref = h.repository.DefaultBranch
	}
	h.commit, err = r.revision(h, h.Ref)
	if err != nil && (r.FormValue("ref") != "" || fault.Of(err) != fault.NotFound) {
		return h, err
	}
	for _, t := range []struct{ title, page string }{{"Overview", ""}, {"Files", "files"}, {"Commits", "commits"}, {"Compare", "compare"}} {
		to := repositoryPath(h.Name, t.page, "ref", r.FormValue("ref"))
		if t.page == "compare" || t.page == "" {
			to = repositoryPath(h.Name, t.page)
		}
		h.Tabs = append(h.Tabs, tab{t.title, to, t.page == here})
	}
	h.Tabs = append(h.Tabs, tab{"Pull requests", "/pulls?repository=" + url.QueryEscape(h.Name), false})
	if r.console.config.Runs != nil {
		h.Tabs = append(h.Tabs, tab{"Runs", "/runs?repository=" + url.QueryEscape(h.Name), false})
	}
	if here == "files" || here == "commits" || here == "compare" {
		err = r.offer(&h)
	} else {
		err = nil
	}
	return h, err
}

func (r *request) offer(h *repositoryHead) error {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		refs, err := r.console.config.Source.Refs(r.Context(), h.Name, prefix, "", refsOffered)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			h.Refs = append(h.Refs, strings.TrimPrefix(ref.Name, prefix))
		}
	}
	return nil
}

var abbreviated = regexp.MustCompile(`^[0-9a-f]{7,40}$`)

// revision is the commit that a branch, a tag, a full ref or the beginning of a commit's name stands for.
func (r *request) revision(h repositoryHead, ref string) (commit string, err error) {
	names := []string{"refs/heads/" + ref, "refs/tags/" + ref}
	if strings.HasPrefix(ref, "refs/") {
		names = []string{ref}
	}
	for _, name := range names {
		if !git.ValidRef(name) {
			continue
		}
		target, err := r.console.config.Source.Ref(r.Context(), h.Name, name)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		return h.git.Resolve(r.Context(), target)
	}
	if abbreviated.MatchString(ref) {
		commit, err := h.git.Resolve(r.Context(), ref)
		if err == nil || !errors.Is(err, fault.NotFound) {
			return commit, err
		}
	}
	return "", fault.NotFound.Errorf("%s has no branch, tag or commit %q", h.Name, ref)
}

// filePath is the path within a repository that the address names: as it is, or escaped once more where a form
// could not hold it as it is.
func (r *request) filePath() (string, error) {
	at := r.FormValue("path")
	if escaped := r.FormValue("at"); escaped != "" {
		var err error
		if at, err = url.QueryUnescape(escaped); err != nil {
			return "", fault.Invalid.Errorf("%q is no path", escaped)
		}
	}
	return git.CleanPath(at)
}

// crumb is a folder on the way to a file.
type crumb struct {
	Name template.HTML
	Path string
}

// crumbs are the folders of a path, the repository first.
func (h repositoryHead) crumbs(at string) []crumb {
	all := []crumb{{shown(h.Name), repositoryPath(h.Name, "files", "ref", h.Ref)}}
	for i, part := range strings.Split(at, "/") {
		if at != "" {
			to := strings.Join(strings.Split(at, "/")[:i+1], "/")
			all = append(all, crumb{shown(part), repositoryPath(h.Name, "files", "ref", h.Ref, "path", to)})
		}
	}
	return all
}

// binary tells whether a file is no text that could be shown.
func binary(content []byte) bool {
	head := content[:min(len(content), 8000)]
	for _, c := range head {
		if c == 0 {
			return true
		}
	}
	bad := 0
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 {
			bad++
		}
		head = head[n:]
	}
	return bad > 16
}

var readme = regexp.MustCompile(`(?i)^readme(\.(md|markdown|txt|rst|adoc|ko\.md))?$`)

// modeName says what a mode stands for, where it is not a plain file.
func modeName(mode uint32) string {
	switch mode {
	case git.ModeTree:
		return "folder"
	case git.ModeSubmodule:
		return "submodule"
	case git.ModeLink:
		return "symbolic link"
	case git.ModeExecutable:
		return "executable"
	}
	return ""
}

// person is whoever looks, as pull requests know people.
func (r *request) person() source.Person {
	if r.console.config.Reviewer != nil {
		return r.console.config.Reviewer(r.Context(), r.principal)
	}
	return source.Person{ARN: r.principal.ARN, Name: nameOf(r.principal)}
}

// address is where this server is reached by whoever looks.
func (r *request) address(to string) string {
	if f := r.console.config.URL; f != nil {
		if all := f(to); all != "" {
			return all
		}
	}
	scheme := "http"
	if r.console.config.Secure(r.Request) {
		scheme = "https"
	}
	return scheme + "://" + r.Host + to
}

// base is the last part of a path.
func base(p string) string { return path.Base(p) }
