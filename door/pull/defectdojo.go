package pull

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/word/fault"
)

const dojoPage = 250

// defectDojo fetches the findings of a product.
func defectDojo(ctx context.Context, s Server, product, _ string, create func(string) (io.WriteCloser, error)) ([]Fetched, error) {
	if _, err := strconv.ParseUint(product, 10, 63); err != nil {
		return nil, fault.Invalid.Errorf("%.40q is not the number of a product, as it stands in the address of its page", product)
	}
	c, err := s.caller(func(r *http.Request, token string) { r.Header.Set("Authorization", "Token "+token) })
	if err != nil {
		return nil, err
	}
	w, err := create("defectdojo")
	if err != nil {
		return nil, err
	}
	got, err := dojoFindings(ctx, c, product, w)
	if err = cmp.Or(err, w.Close()); err != nil {
		return nil, err
	}
	return []Fetched{got}, nil
}

func dojoFindings(ctx context.Context, c *caller, product string, w io.Writer) (got Fetched, err error) {
	records := &list{w: w, seen: map[string]bool{}}
	if err := write(w, `{"merged":true,"results":[`); err != nil {
		return got, err
	}
	// By number, so that what comes in meanwhile comes last.
	query := url.Values{"test__engagement__product": {product}, "limit": {strconv.Itoa(dojoPage)}, "o": {"id"}}
	count, offset := 0, 0
	for {
		var page struct {
			Count   int              `json:"count"`
			Results []jsontext.Value `json:"results"`
		}
		if err := c.get(ctx, "api/v2/findings/", with(query, "offset", strconv.Itoa(offset)), &page); err != nil {
			return got, err
		}
		for _, one := range page.Results {
			var names struct {
				ID jsontext.Value `json:"id"`
			}
			if err := json.Unmarshal(one, &names, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil || len(names.ID) == 0 {
				return got, fault.Invalid.Errorf("%s: a finding is without a number", c.where("api/v2/findings/"))
			}
			if err := records.add(string(names.ID), one); err != nil {
				return got, err
			}
		}
		count = page.Count
		if offset += len(page.Results); len(page.Results) == 0 || offset >= count {
			break
		}
	}
	got.Records = records.n
	if got.Records != count {
		got.Partial = fmt.Sprintf("%d findings could be fetched of %d", got.Records, count)
	}
	return got, write(w, "],\n\"count\":"+strconv.Itoa(max(count, got.Records))+"}")
}
