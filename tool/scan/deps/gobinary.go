package deps

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"io"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// isBinary tells by its name that a file may be a program: no extension, or one that programs have.
func isBinary(name string) bool {
	base := path.Base(name)
	switch ext := path.Ext(base); ext {
	case "", ".exe", ".dll", ".so", ".dylib", ".bin", ".wasm", ".elf":
		return base != "LICENSE" && base != "Makefile" && base != "OWNERS"
	default:
		return strings.Trim(ext, ".0123456789") == "" || strings.HasPrefix(ext, ".so")
	}
}

// executable tells by its first bytes that a file is a program of Linux, macOS or Windows.
func executable(content []byte) bool {
	for _, magic := range []string{"\x7fELF", "MZ", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe"} {
		if bytes.HasPrefix(content, []byte(magic)) {
			return true
		}
	}
	return false
}

// program lists what a program says that it was built of: Go's build information,
// or the list that cargo-auditable leaves.
func program(ctx context.Context, f manifest, out func(component.Component)) error {
	if !executable(f.content) {
		return nil
	}
	if bytes.Contains(f.content, []byte("\xff Go buildinf:")) {
		info, err := buildinfo.Read(bytes.NewReader(f.content))
		if err != nil {
			return diag.Errorf(diag.Place{File: f.path}, "what Go wrote into it cannot be read: %v", err)
		}
		goBinary(f.path, info, out)
		return nil
	}
	if bytes.Contains(f.content, []byte(".dep-v0")) || bytes.Contains(f.content, []byte(".dep_v0")) || bytes.Contains(f.content, []byte("rust-deps")) {
		if section := depSection(f.content, bytes.NewReader(f.content)); section != nil {
			return cargoAudited(ctx, f, section, out)
		}
	}
	return nil
}

// largeProgram is program of one that is not read as a whole.
func largeProgram(ctx context.Context, f scan.LargeFile, out func(component.Component)) error {
	head := make([]byte, 16)
	if _, err := f.Content.ReadAt(head, 0); err != nil || !executable(head) {
		return err
	}
	info, err := buildinfo.Read(io.NewSectionReader(f.Content, 0, f.Size))
	switch {
	case err == nil:
		goBinary(f.Path, info, out)
		return nil
	case !strings.Contains(err.Error(), "not a Go executable") && !strings.Contains(err.Error(), "unrecognized file format"):
		return diag.Errorf(diag.Place{File: f.Path}, "what Go wrote into it cannot be read: %v", err)
	}
	if section := depSection(head, f.Content); section != nil {
		return cargoAudited(ctx, manifest{path: f.Path}, section, out)
	}
	return nil
}

func goBinary(file string, info *buildinfo.BuildInfo, out func(component.Component)) {
	place := diag.Place{File: file, Line: 1}
	version, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	version, _, _ = strings.Cut(version, "-")
	std := component.Component{PURL: "pkg:golang/stdlib", Ecosystem: "Go", Name: "stdlib", Version: version, State: component.Resolved, Scope: component.Runtime, Direct: true, Place: place, Path: []string{"stdlib"}}
	if strings.HasPrefix(version, "devel") || strings.Count(version, ".") < 1 {
		std.State = component.Unresolved
	}
	out(std)
	for _, d := range info.Deps {
		if d == nil {
			continue
		}
		at := d
		if d.Replace != nil {
			at = d.Replace
		}
		c := goComponent(at.Path, at.Version)
		if at.Version == "" || at.Version == "(devel)" { // replaced by a folder
			c = goComponent(d.Path, "=> "+cmp.Or(at.Version, at.Path))
			c.State = component.Unresolved
		}
		c.Place, c.Integrity = place, at.Sum
		if c.Name != "" {
			out(c)
		}
	}
}

// goComponent is a module of Go, without its place.
func goComponent(name, version string) component.Component {
	namespace, short := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		namespace, short = name[:i], name[i+1:]
	}
	return component.Component{PURL: component.PURL("golang", namespace, short), Ecosystem: "Go", Name: name, Version: strings.TrimPrefix(version, "v"), State: component.Resolved, Scope: component.Runtime}
}

// depSection is the section in which cargo-auditable keeps its list, or nil.
func depSection(content []byte, r io.ReaderAt) []byte {
	const most = 16 << 20
	switch {
	case bytes.HasPrefix(content, []byte("\x7fELF")):
		if x, err := elf.NewFile(r); err == nil {
			if s := x.Section(".dep-v0"); s != nil && s.FileSize < most {
				if data, err := s.Data(); err == nil {
					return data
				}
			}
		}
	case bytes.HasPrefix(content, []byte("MZ")):
		if x, err := pe.NewFile(r); err == nil {
			if s := x.Section(".dep-v0"); s != nil && s.Size < most {
				if data, err := s.Data(); err == nil {
					return bytes.TrimRight(data, "\x00")
				}
			}
		}
	default:
		if x, err := macho.NewFile(r); err == nil {
			for _, s := range x.Sections {
				if (s.Name == "rust-deps-v0" || s.Name == ".dep-v0") && s.Size < most {
					if data, err := s.Data(); err == nil {
						return data
					}
				}
			}
		}
	}
	return nil
}
