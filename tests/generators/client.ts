// A program of a client, as its author writes it: what the schema promises is what the compiler knows.
import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import { AgentsQueryDocument, KpisQueryDocument, TasksQueryDocument } from "./typed/graphql";
import type { TaskStatus } from "./typed/graphql";

const client = new ApolloClient({
  link: new HttpLink({ uri: "/graphql" }),
  // Figures are those of one business, so that their names are no ids.
  cache: new InMemoryCache({ typePolicies: { Kpi: { keyFields: false } } }),
});

export async function openTasks(slug: string): Promise<Map<string, TaskStatus>> {
  const { data } = await client.query({ query: TasksQueryDocument, variables: { slug } });
  const open = new Map<string, TaskStatus>();
  for (const task of data?.business?.tasks.nodes ?? []) {
    const title: string | null | undefined = task.title.text;
    if (title) open.set(title, task.status);
  }
  return open;
}

export async function figures(slug: string): Promise<Array<number | null | undefined>> {
  const { data } = await client.query({ query: KpisQueryDocument, variables: { slug } });
  return (data?.business?.kpis ?? []).map((kpi) => kpi.value);
}

export async function names(slug: string): Promise<string[]> {
  const { data } = await client.query({ query: AgentsQueryDocument, variables: { slug } });
  return (data?.business?.agents.nodes ?? []).map((agent) => agent.name);
}

// What the schema does not promise does not compile.
export async function wrong(slug: string) {
  const { data } = await client.query({ query: TasksQueryDocument, variables: { slug } });
  // @ts-expect-error no such field was asked
  return data?.business?.tasks.nodes[0]?.colour;
}
