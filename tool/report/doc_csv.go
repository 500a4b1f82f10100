package report

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

const maxColumns = 500

// lookCSV reads the report to its end, and the names of its columns.
func (d *doc) lookCSV(start []byte) error {
	d.kind, d.comma = isCSV, ','
	first, _, _ := bytes.Cut(start, []byte("\n"))
	for _, c := range ";\t|" {
		if bytes.Count(first, []byte(string(c))) > bytes.Count(first, []byte(string(d.comma))) {
			d.comma = c
		}
	}
	if !bytes.ContainsRune(first, d.comma) {
		return fault.Unsupported.Errorf("this is neither JSON nor XML nor CSV: it begins with %.60q", first)
	}
	return d.rows(func(row []string) error {
		if d.columns == nil {
			for _, name := range row {
				d.columns = append(d.columns, strings.TrimSpace(strings.ToValidUTF8(name, "\uFFFD")))
			}
		}
		return nil
	})
}

func (d *doc) rows(visit func([]string) error) error {
	in := &bounded{Reader: d.open()}
	r := csv.NewReader(bufio.NewReaderSize(in, 64<<10))
	in.done = r.InputOffset
	r.Comma, r.FieldsPerRecord, r.ReuseRecord, r.LazyQuotes = d.comma, 0, true, false
	for {
		row, err := r.Read()
		if err == io.EOF {
			return nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			why := "this is not CSV: %w"
			if errors.Is(bad.Err, csv.ErrFieldCount) || errors.Is(bad.Err, csv.ErrQuote) {
				why = "this row is torn, or not CSV: %w"
			}
			return fault.Invalid.Errorf("line %d, column %d: "+why, bad.Line, bad.Column, bad.Err)
		}
		if err != nil {
			return err
		}
		if len(row) > maxColumns {
			return fault.Limit.Errorf("a row has more than %d columns", maxColumns)
		}
		if err := visit(row); err != nil {
			return err
		}
	}
}

// eachRow hands over the rows after the first, by the names that the first gives the columns.
func (d *doc) eachRow(visit func([]string, node) error) error {
	head := true
	return d.rows(func(row []string) error {
		if head {
			head = false
			return nil
		}
		m := map[string]any{}
		for i, cell := range row {
			if i < len(d.columns) && cell != "" {
				m[d.columns[i]] = strings.ToValidUTF8(cell, "\uFFFD")
			}
		}
		if len(m) == 0 {
			return nil
		}
		return visit(nil, node{m})
	})
}
