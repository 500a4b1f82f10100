package deps

import (
	"context"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/word/component"
)

// isBOM tells the names of bills of materials; vulnerability statements beside them are none.
func isBOM(name string) bool {
	return sbom.IsNamed(name) && !strings.Contains(strings.ToLower(path.Base(name)), "vex")
}

// bom lists the components of a bill of materials of CycloneDX or SPDX.
func bom(ctx context.Context, f manifest, out func(component.Component)) error {
	d, err := sbom.Read(f.path, f.content)
	if err != nil {
		return err
	}
	for _, c := range d.Components {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		out(c)
	}
	return nil
}
