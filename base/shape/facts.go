package shape

import (
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/asset"
)

// Facts are what an item says about its resource, in maps, lists and scalars
// (numbers as jsontext.Value): the same whichever of AWS's forms the item came in
// and whenever it was captured. The names are those of Config's diffs.
func (s *Shapes) Facts(item asset.Item) map[string]any {
	if item.Deleted {
		return map[string]any{}
	}
	facts := map[string]any{}
	add := func(name string, v any) {
		if !nothing(v) {
			facts[name] = v
		}
	}
	add("ResourceName", item.Name)
	source, ok := decode(item.Original)
	if !ok {
		v, _ := parse(item.Configuration)
		add("Configuration", v)
		add("Tags", anyMap(item.Tags))
		return facts
	}
	add("Configuration", source["configuration"])
	add("SupplementaryConfiguration", source["supplementaryConfiguration"])
	add("Relationships", relationships(source["relationships"]))
	add("Tags", anyMap(item.Tags))
	add("AvailabilityZone", source["availabilityZone"])
	return facts
}

func nothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func anyMap(m map[string]string) map[string]any {
	all := map[string]any{}
	for k, v := range m {
		all[k] = v
	}
	return all
}

// relationships have a name that AWS spells in two ways.
func relationships(v any) any {
	list, _ := v.([]any)
	for _, x := range list {
		if m, ok := x.(map[string]any); ok && m["name"] == nil && m["relationshipName"] != nil {
			m["name"] = m["relationshipName"]
			delete(m, "relationshipName")
		}
	}
	return v
}

// Notification is an item in the form in which Config's events hold it.
func (s *Shapes) Notification(item asset.Item) jsontext.Value {
	facts := s.Facts(item)
	status := "OK"
	if item.Deleted {
		status = "ResourceDeleted"
	}
	m := map[string]any{
		"configurationItemVersion": "1.3", "configurationItemCaptureTime": item.Captured.UTC().Format("2006-01-02T15:04:05.000Z"), "configurationStateId": StateID(item.Original),
		"awsAccountId": item.Account, "configurationItemStatus": status, "resourceType": item.Type, "resourceId": item.ID, "resourceName": item.Name, "ARN": item.ARN,
		"awsRegion": item.Region, "availabilityZone": facts["AvailabilityZone"], "configurationStateMd5Hash": "", "tags": anyMap(item.Tags), "relatedEvents": []any{},
		"relationships": facts["Relationships"], "configuration": facts["Configuration"], "supplementaryConfiguration": facts["SupplementaryConfiguration"],
	}
	if m["relationships"] == nil {
		m["relationships"] = []any{}
	}
	if m["supplementaryConfiguration"] == nil {
		m["supplementaryConfiguration"] = map[string]any{}
	}
	return encode(m)
}
