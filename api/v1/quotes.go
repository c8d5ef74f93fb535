package v1

// QuoteRequest asks for the merit order of a workload file.
type QuoteRequest struct {
	File    string `json:"file" maxLength:"4096" doc:"name of the workload file, for messages"`
	Content string `json:"content" doc:"the workload file itself (YAML)"`
}
