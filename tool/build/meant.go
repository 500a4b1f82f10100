package build

import (
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// meant is the buildspec with the values that variables have by now in what it
// says of files: base-directory: $CODEBUILD_SRC_DIR_two, a report group's name.
func (r *running) meant() error {
	spec := *r.spec
	spec.Artifacts, spec.Reports = slices.Clone(spec.Artifacts), slices.Clone(spec.Reports)
	for i := range spec.Artifacts {
		a := &spec.Artifacts[i]
		a.Files, a.Exclude = slices.Clone(a.Files), slices.Clone(a.Exclude)
		if err := r.paths(&a.Folder, a.Files, a.Exclude); err != nil {
			return err
		}
	}
	for i := range spec.Reports {
		g := &spec.Reports[i]
		g.Files = slices.Clone(g.Files)
		if err := r.paths(&g.Folder, g.Files); err != nil {
			return err
		}
		if !strings.Contains(g.Name, "$") {
			continue
		}
		name, err := r.shell.expand(g.Name)
		if err != nil {
			return err
		}
		if g.Name = clip(strings.TrimSpace(name), 200); g.Name == "" {
			return fault.Invalid.Errorf("the name of a report group, %s, is nothing", r.spec.Reports[i].Name)
		}
	}
	r.spec = &spec
	return nil
}

// paths expands a folder, which may lie in a secondary source, and patterns below it.
func (r *running) paths(folder *string, lists ...[]string) error {
	if strings.Contains(*folder, "$") {
		text, err := r.shell.expand(*folder)
		if err != nil {
			return err
		}
		if *folder, err = r.placed(*folder, text); err != nil {
			return err
		}
	}
	for _, list := range lists {
		for i, pattern := range list {
			if !strings.Contains(pattern, "$") {
				continue
			}
			text, err := r.shell.expand(pattern)
			if err != nil {
				return err
			}
			if text, err = r.placed(pattern, text); err != nil {
				return err
			}
			if rest, ok := strings.CutPrefix(text, "/src/"); ok && *folder == "" {
				text = rest
			}
			if strings.HasPrefix(text, "/") {
				return fault.Invalid.Errorf("%s is %s, and not below the base-directory", pattern, text)
			}
			list[i] = text
		}
	}
	return nil
}

// placed is a path below the build's folder, with a slash before it, where the
// text is absolute, and else the text: below the sources.
func (r *running) placed(said, text string) (string, error) {
	outside := fault.Invalid.Errorf("%s is %s, and that is outside of the build's sources", said, clip(text, 200))
	if slices.Contains(strings.Split(text, "/"), "..") || strings.ContainsRune(text, 0) {
		return "", outside
	}
	if !strings.HasPrefix(text, "/") {
		return text, nil
	}
	rest, ok := strings.CutPrefix(path.Clean(text)+"/", r.work+"/src")
	if !ok || rest[0] != '/' && rest[0] != '_' {
		return "", outside
	}
	return path.Clean("/src" + rest), nil
}
