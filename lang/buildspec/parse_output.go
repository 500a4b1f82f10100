package buildspec

import (
	"maps"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// Formats are those of reports of tests and of coverage.
func Formats() []string {
	return []string{
		"JUNITXML", "CUCUMBERJSON", "NUNITXML", "NUNIT3XML", "TESTNGXML", "VISUALSTUDIOTRX", "GOTESTJSON",
		"COBERTURAXML", "JACOCOXML", "CLOVERXML", "SIMPLECOV", "GOCOVER", "LCOV",
	}
}

func ownFormat(name string) bool { return slices.Contains(Formats(), name) }

func (c *checker) format(group, name string) string {
	upper, lower := strings.ToUpper(name), strings.ToLower(name)
	switch {
	case name == "":
		return ""
	case ownFormat(upper):
		return upper
	case lower == "security", slices.Contains(c.security, lower):
		return lower
	}
	hint := diag.DidYouMean(upper, Formats())
	if hint == "" {
		hint = "there are " + strings.Join(Formats(), ", ") + ", and security for what Semgrep, Trivy, ZAP and others write"
	}
	c.fail(c.at("reports", group, "file-format"), hint, "file-format %s of report group %s is not supported", name, group)
	return ""
}

func (c *checker) reports(s *Spec, groups map[string]fileReports) {
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := groups[name]
		if len(g.Files) == 0 {
			c.fail(c.key("reports", name), "for example:\nfiles:\n  - '**/*.xml'", "report group %s names no files", name)
		}
		c.below("report group "+name, g.Files, "reports", name, "files")
		c.below("report group "+name, []string{g.Folder}, "reports", name, "base-directory")
		s.Reports = append(s.Reports, ReportGroup{Name: name, Files: g.Files, Folder: clean(g.Folder), Format: c.format(name, g.Format), DiscardPaths: bool(g.Discard)})
	}
	if len(groups) > mostGroups {
		c.fail(c.key("reports"), "let one group have the files of several", "there are %d report groups, %d at most are allowed", len(groups), mostGroups)
	}
}

func (c *checker) artifacts(s *Spec, f *fileArtifacts) {
	if len(f.Files) == 0 {
		c.fail(c.key("artifacts"), "for example:\nfiles:\n  - '**/*'", "artifacts names no files")
	}
	s.Artifacts = append(s.Artifacts, c.artifact(s, "", f.main(), "artifacts"))
	for _, id := range slices.Sorted(maps.Keys(f.Secondary)) {
		where := []string{"artifacts", "secondary-artifacts", id}
		if !identifier().MatchString(id) {
			c.fail(c.key(where...), "letters, digits and _", "%q cannot be the identifier of an artifact", id)
		}
		if len(f.Secondary[id].Files) == 0 {
			c.fail(c.key(where...), "for example:\nfiles:\n  - '**/*'", "artifact %s names no files", id)
		}
		s.Artifacts = append(s.Artifacts, c.artifact(s, id, f.Secondary[id], where...))
	}
	if len(f.Secondary) > 12 {
		c.fail(c.key("artifacts", "secondary-artifacts"), "", "there are %d secondary artifacts, 12 at most are allowed", len(f.Secondary))
	}
}

func (c *checker) artifact(s *Spec, id string, f fileArtifact, where ...string) Artifact {
	what := "artifacts"
	if id != "" {
		what = "artifact " + id
	}
	if f.Type != "" && s.Version != "0.1" {
		s.Warnings = append(s.Warnings, strings.Join(where, "/")+"/type is passed over: it is of version 0.1")
	}
	for _, l := range []struct {
		key      string
		patterns []string
	}{{"files", f.Files}, {"exclude-paths", f.Exclude}, {"base-directory", []string{f.Folder}}} {
		c.below(what, l.patterns, slices.Concat(where, []string{l.key})...)
	}
	if strings.ContainsAny(f.Name+f.Prefix, "\x00\n") || len(f.Name) > 1024 || len(f.Prefix) > 1024 || slices.Contains(strings.Split(f.Prefix, "/"), "..") {
		c.fail(c.at(slices.Concat(where, []string{"name"})...), "", "name or s3-prefix of %s is longer than 1,024 bytes, or of more than one line, or has ..", what)
	}
	return Artifact{ID: id, Name: f.Name, Files: f.Files, Folder: clean(f.Folder), Exclude: f.Exclude, DiscardPaths: bool(f.Discard), Symlinks: bool(f.Symlinks), Prefix: f.Prefix}
}

func (c *checker) cache(s *Spec, f *fileCache) {
	s.Cache = Cache{Paths: f.Paths, Key: f.Key, Fallbacks: f.Fallbacks}
	switch strings.ToLower(f.Action) {
	case "":
	case "restore":
		s.Cache.NoSave = true
	case "save":
		s.Cache.NoRestore = true
	default:
		c.fail(c.at("cache", "action"), "there are restore and save; leave it out for both", "action %q of the cache is not supported", f.Action)
	}
	if len(f.Paths) == 0 {
		c.fail(c.key("cache"), "for example:\npaths:\n  - '/root/.cache/**/*'", "the cache has no paths")
	}
	if len(f.Fallbacks) > mostFallback {
		c.fail(c.at("cache", "fallback-keys"), "", "there are %d fallback-keys, %d at most are allowed", len(f.Fallbacks), mostFallback)
	}
	if f.Key == "" && len(f.Fallbacks) > 0 {
		s.Warnings = append(s.Warnings, "cache/fallback-keys is passed over: there is no key")
		s.Cache.Fallbacks = nil
	}
	for _, key := range append([]string{f.Key}, f.Fallbacks...) {
		if len(key) > 1024 || strings.ContainsAny(key, "\x00\n") {
			c.fail(c.at("cache", "key"), "", "a key of the cache is longer than 1,024 bytes, or of more than one line")
		}
	}
	for _, p := range f.Paths {
		bare := strings.TrimPrefix(strings.TrimPrefix(p, "~"), "/")
		c.below("the cache", []string{bare}, "cache", "paths")
	}
}
