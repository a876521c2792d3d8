package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"natscast/kv"
)

// document is what the tests need of the description.
type document struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
		Required bool
	}
	Responses map[string]struct {
		Content map[string]struct {
			Schema  schema
			Example any
		}
	}
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	OneOf      []schema
	Items      *schema
	Required   []string
	Properties map[string]schema
}

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(description, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// operation returns that of a route's pattern, METHOD PATH.
func (d document) operation(pattern string) (operation, bool) {
	method, path, _ := strings.Cut(strings.ReplaceAll(pattern, "...}", "}"), " ")
	op, ok := d.Paths[path][strings.ToLower(method)]
	return op, ok
}

// check compares a JSON value with a schema. All properties must be known.
func (d document) check(s schema, value any) error {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		target, ok := d.Components.Schemas[name]
		if !ok {
			return fmt.Errorf("no schema %s", name)
		}
		return d.check(target, value)
	}
	if len(s.OneOf) > 0 {
		var all error
		for _, one := range s.OneOf {
			err := d.check(one, value)
			if err == nil {
				return nil
			}
			all = errors.Join(all, err)
		}
		return all
	}
	switch v := value.(type) {
	case map[string]any:
		return d.checkObject(s, v)
	case []any:
		if s.Type != "array" {
			return fmt.Errorf("an array for %q", s.Type)
		}
		for _, item := range v {
			if err := d.check(*s.Items, item); err != nil {
				return err
			}
		}
		return nil
	}
	return checkScalar(s, value)
}

func (d document) checkObject(s schema, object map[string]any) error {
	if s.Type != "object" {
		return fmt.Errorf("an object for %q", s.Type)
	}
	for _, name := range s.Required {
		if _, ok := object[name]; !ok {
			return fmt.Errorf("%q is missing", name)
		}
	}
	for name, value := range object {
		property, ok := s.Properties[name]
		if !ok && s.Properties != nil {
			return fmt.Errorf("%q is not known", name)
		}
		if ok {
			if err := d.check(property, value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func checkScalar(s schema, value any) error {
	kind := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number"}[reflect.ValueOf(value).Kind()]
	if n, ok := value.(float64); ok && s.Type == "integer" && n == float64(int64(n)) {
		return nil
	}
	if kind == "" || kind != s.Type {
		return fmt.Errorf("%v for %q", value, s.Type)
	}
	return nil
}

func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	served := []string{
		"GET /{app}/{stream}.flv", // which no pattern says
		// Shared objects are served beside the API.
		"GET /objects/{app}/{name}", "PUT /objects/{app}/{name}", "PATCH /objects/{app}/{name}",
		"DELETE /objects/{app}/{name}", "POST /objects/{app}/{name}",
	}
	var described []string
	for _, r := range (&api{}).routes() {
		served = append(served, r.method+" "+strings.ReplaceAll(r.path, "...}", "}"))
	}
	ids := map[string]bool{}
	for path, operations := range d.Paths {
		for method, op := range operations {
			described = append(described, strings.ToUpper(method)+" "+path)
			ids[op.OperationID] = true
			var inPath []string
			for _, p := range op.Parameters {
				if p.In == "path" && p.Required {
					inPath = append(inPath, "{"+p.Name+"}")
				}
			}
			var want []string
			for element := range strings.SplitSeq(path, "/") {
				if name, _, ok := strings.Cut(element, "}"); ok {
					want = append(want, name+"}")
				}
			}
			if !slices.Equal(inPath, want) {
				t.Errorf("%s: parameters %v, want %v", path, inPath, want)
			}
		}
	}
	slices.Sort(served)
	slices.Sort(described)
	if !slices.Equal(served, described) {
		t.Errorf("served:    %v\ndescribed: %v", served, described)
	}
	if len(ids) != len(described) {
		t.Errorf("operations share ids: %v", slices.Collect(maps.Keys(ids)))
	}
}

func TestOpenAPISchemas(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	types := map[string]reflect.Type{
		"Failure": reflect.TypeFor[Failure](), "Health": reflect.TypeFor[Health](), "Done": reflect.TypeFor[Done](),
		"Route": reflect.TypeFor[Route](), "Explanation": reflect.TypeFor[Explanation](), "Candidate": reflect.TypeFor[Candidate](),
		"Node": reflect.TypeFor[kv.Node](), "Connection": reflect.TypeFor[kv.Connection](),
		"Stream": reflect.TypeFor[kv.Listed](), "Hotness": reflect.TypeFor[kv.Hotness](),
	}
	if len(types) != len(d.Components.Schemas) {
		t.Errorf("%d schemas for %d types", len(d.Components.Schemas), len(types))
	}
	for name, goType := range types {
		s := d.Components.Schemas[name]
		var fields, required []string
		for _, f := range reflect.VisibleFields(goType) {
			if f.Anonymous {
				continue // its fields follow
			}
			field, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, field)
			if !strings.Contains(options, "omit") {
				required = append(required, field)
			}
		}
		slices.Sort(fields)
		slices.Sort(required)
		slices.Sort(s.Required)
		if described := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(fields, described) {
			t.Errorf("%s has %v, described are %v", name, fields, described)
		}
		if !slices.Equal(required, s.Required) {
			t.Errorf("%s always has %v, described as required are %v", name, required, s.Required)
		}
	}
}

func TestOpenAPIExamples(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	for path, operations := range d.Paths {
		for _, op := range operations {
			for status, response := range op.Responses {
				if _, ok := response.Content[flvType]; ok {
					continue
				}
				content, ok := response.Content["application/json"]
				if code, err := strconv.Atoi(status); !ok || err != nil || http.StatusText(code) == "" {
					t.Errorf("%s %s: no JSON, or no status", path, status)
				}
				if content.Example == nil {
					continue
				}
				if err := d.check(content.Schema, content.Example); err != nil {
					t.Errorf("%s %s: example: %v", path, status, err)
				}
			}
		}
	}
}
