package reports

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// A bill of materials is no list of findings: what it lists is kept, and what advisories say of that are the
// findings, today and whenever there are new ones. CycloneDX may be both.

// billName is what places in a bill are of. Whatever it is written in, the same package is at the same place.
const billName = "sbom"

// largestBill is how large a bill may be: it is read in one piece.
const largestBill = 128 << 20

// takeBill takes a bill of materials that holds no findings. unknown is why it is no report.
func (d *Door) takeBill(ctx context.Context, a ask, in io.ReaderAt, size int64, unknown error) (*Answer, error) {
	if d.Bills == nil || a.options.Mapping != nil || size > largestBill {
		return nil, unknown
	}
	text, err := io.ReadAll(io.NewSectionReader(in, 0, size))
	if err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	if !bytes.Contains(text, []byte(`"spdxVersion"`)) && !bytes.Contains(text[:min(len(text), 64<<10)], []byte("SPDXVersion:")) {
		return nil, unknown
	}
	doc, err := sbom.Read(billName, text)
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	a.scan.Tool = cmp.Or(a.options.Tool, "spdx")
	a.scan.Made, _ = finding.Time(doc.Created)
	a.scan.Complete = a.partial == ""
	said := &Answer{Told: report.Told{Format: "spdx", Tool: a.scan.Tool, Complete: a.scan.Complete, Incomplete: a.partial, Made: a.scan.Made}, Target: a.scan.Target, Branch: a.scan.Branch, Commit: a.scan.Commit, Preview: a.preview, Bill: len(doc.Components)}
	if said.Older, err = d.older(ctx, a.scan); err != nil || said.Older != "" || a.preview {
		return said, err
	}
	a.scan.ID = cmp.Or(a.scan.ID, bus.ID())
	said.Scan = a.scan.ID
	if err := d.keepBill(ctx, a.scan, doc); err != nil {
		return nil, err
	}
	_, err = d.Hub.Import(ctx, a.scan) // so that it is known that it was here
	return said, err
}

// keepListed keeps what a report of CycloneDX lists beside its findings. Where that cannot be, it is told, and the
// findings are taken all the same.
func (d *Door) keepListed(ctx context.Context, s finding.Scan, r *report.Report, in io.ReaderAt, size int64, said *Answer) error {
	if d.Bills == nil || !strings.HasPrefix(r.Format, "cyclonedx-") {
		return nil
	}
	if size > largestBill {
		said.Warnings = append(said.Warnings, fmt.Sprintf("its components are not kept: it is larger than %d MB", largestBill>>20))
		return nil
	}
	text, err := io.ReadAll(io.NewSectionReader(in, 0, size))
	if err != nil {
		return fmt.Errorf("reading a report: %w", err)
	}
	doc, err := sbom.Read(billName, text)
	if err != nil {
		said.Warnings = append(said.Warnings, fmt.Sprintf("its components are not kept: %v", err))
		return nil
	}
	if len(doc.Components) == 0 && r.Records > 0 {
		return nil // statements on what another document lists
	}
	s.Complete = r.Complete
	err = d.keepBill(ctx, s, doc)
	if errors.Is(err, fault.Conflict) {
		said.Warnings = append(said.Warnings, fmt.Sprintf("its components are not kept: %v", err))
		return nil
	}
	if err == nil {
		said.Bill = len(doc.Components)
	}
	return err
}

func (d *Door) keepBill(ctx context.Context, s finding.Scan, doc sbom.Document) error {
	s.Version = "" // nothing was matched: it is to be judged
	return d.Bills.Keep(ctx, s, doc.Components)
}
